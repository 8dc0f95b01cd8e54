/* What the hook prints (acmed/helper/hook_output.h): it may print without end, and is read in
 * rounds, so that its supervisor still hears acmed and keeps the deadline. */
#include "acmed/helper/hook_output.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/helper/hook.h"
#include "base/log.h"
#include "t/unit/tap.h"

enum { ROUND = HOOK_READS * HOOK_BYTES, PIPE = 4 * ROUND, TRIES = 1000 };

static int left(int fd)
{
    int n = -1;

    ioctl(fd, FIONREAD, &n);
    return n;
}

/* ---- one call takes no more than its share */

static void test_rounds(void)
{
    static char bytes[PIPE];
    struct hook_output output = {.fd = -1};
    int ends[2], calls = 0, most = 0, before;

    if (!ok(pipe2(ends, O_NONBLOCK) == 0 && fcntl(ends[1], F_SETPIPE_SZ, PIPE) == PIPE,
            "a pipe"))
        return;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes + sizeof bytes - 5, "\nend\n", 5);
    is_int(write(ends[1], bytes, sizeof bytes), PIPE, "full");
    output.fd = ends[0];
    for (; (before = left(output.fd)) > 0 && calls < PIPE; calls++) {
        hook_output_read(&output);
        if (before - left(output.fd) > most)
            most = before - left(output.fd);
    }
    is_int(most, ROUND, "one call takes no more than its share of what is there");
    is_int(calls, PIPE / ROUND, "the next ones take the rest");
    is_int(output.lines, 2, "which is two lines, the first one very long");
    is_str(output.last, "end", "the last one");

    hook_output_read(&output);
    is_int(output.fd, ends[0], "nothing to read is not the end");
    is_int(write(ends[1], "half", 4), 4, "half a line");
    close(ends[1]);
    hook_output_read(&output);
    is_int(output.fd, -1, "the end of the output closes it");
    hook_output_end(&output);
    is_str(output.last, "half", "and half a line is a line");
}

/* ---- a hook that prints without end */

static bool waits_for(const char *path)
{
    for (int i = 0; i < TRIES && access(path, F_OK) != 0; i++)
        usleep(10 * 1000);
    return access(path, F_OK) == 0;
}

/* Its supervisor has killed it, and waited for it. */
static bool has_ended(pid_t pid)
{
    for (int i = 0; i < TRIES && kill(pid, 0) == 0; i++)
        usleep(10 * 1000);
    return kill(pid, 0) < 0;
}

static void test_endless(void)
{
    char root[] = "/tmp/pasgate-hook-output-XXXXXX", program[64], flows[64];
    struct hook_call call = {.program = program, .event = "issued", .certificate = "a"};
    struct hook hook = {0};
    FILE *out;

    if (!ok(mkdtemp(root) != NULL, "a folder"))
        return;
    snprintf(program, sizeof program, "%s/hook", root);
    snprintf(flows, sizeof flows, "%s/flows", root);
    if ((out = fopen(program, "w"))) {
        fprintf(out,
                "#!/bin/sh\ncat /dev/zero & head -c %d /dev/zero\n: >%s\nexec cat /dev/zero\n",
                100 * ROUND, flows);
        fclose(out);
    }
    chmod(program, 0700);
    ok(hook_open(program) == 0 && hook_start(&hook, &call, 0) == 0, "it prints without end");
    pid_t pid = hook.pid;
    ok(waits_for(flows), "and is read all the time");
    is_int(hook_poll(&hook, HOOK_DEADLINE_MS), HOOK_BAD, "and is ended at its deadline");
    ok(pid > 0 && has_ended(pid), "really");
    hook_close();
    unlink(program);
    unlink(flows);
    rmdir(root);
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "hook");
    test_rounds();
    test_endless();
    return done();
}
