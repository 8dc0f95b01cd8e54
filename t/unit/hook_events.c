/* The hook is looked for before it is needed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/hook_events.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/log_lines.h"
#include "t/unit/tap.h"

int main(void)
{
    char program[] = "/tmp/pasgate-hook-events-XXXXXX",
         log[] = "/tmp/pasgate-hook-events-XXXXXX";
    const struct conf_cert cert = {.name = "x.test", .source = CONF_CERT_FILES};
    const struct conf conf = {.certs = &cert, .n_certs = 1, .acme = {.hook = program}};
    const struct heritage heritage = {.conf = &conf};
    struct store store = {.certs_fd = -1};
    struct certificate k = {.heritage = &heritage, .conf = &cert, .store = &store};
    int fd = mkstemp(program), log_fd = mkstemp(log);

    if (fd < 0 || log_fd < 0 || fchmod(fd, 0700) < 0)
        return 1;
    close(fd);
    unlink(log);
    log_to_fd(log_fd);
    hook_events_look(&k, 1000);
    is_str(k.hook_missing, "", "it is there");
    is_int(logged(log_fd, "acme.hook"), 0, "which is not told");
    unlink(program);
    hook_events_look(&k, 1000 + CERTIFICATE_HOOK_MS);
    ok(*k.hook_missing, "it is missing");
    hook_events_look(&k, 1000 + 2 * CERTIFICATE_HOOK_MS);
    is_int(logged(log_fd, "cannot be run"), 1, "which is told once");
    fd = open(program, O_WRONLY | O_CREAT, 0700);
    close(fd);
    hook_events_look(&k, 1000 + 2 * CERTIFICATE_HOOK_MS + 1);
    is_int(logged(log_fd, "can be run again"), 0, "it is not looked for all the time");
    hook_events_look(&k, 1000 + 3 * CERTIFICATE_HOOK_MS);
    is_str(k.hook_missing, "", "it is there again");
    hook_events_look(&k, 1000 + 4 * CERTIFICATE_HOOK_MS);
    is_int(logged(log_fd, "can be run again"), 1, "which is told once, too");
    log_to_fd(STDERR_FILENO);
    close(log_fd);
    unlink(program);
    return done();
}
