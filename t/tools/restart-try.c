/* restart-try: runs one restarter without pasgate, for t/55-restarter.t.
 *
 *   restart-try CONF BACKEND DIRECTORY
 *
 * Reads the configuration, creates its own table with a little history, and acts as the
 * restarter of that backend; evidence goes to DIRECTORY, which must exist, or "" for none.
 * Prints the messages for the supervisor. Exits like a restarter; 2: usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "healthd/restarter/restarter.h"
#include "shm/heritage.h"
#include "shm/message.h"

static struct heritage heritage;
static uint16_t slots[CONF_MAX_BACKENDS];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "restart-try: %s\n", what);
    exit(2);
}

static void fill_table(struct table *table, const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_backends; i++) {
        const struct conf_backend *b = &conf->backends[i];
        struct backend_row row = {.used = 1, .configured = 1, .port = b->port, .identity = 7};
        struct health_row health = {.state = HEALTH_DOWN, .identity = 7, .has_address = 1};
        struct sockaddr_in *at = (struct sockaddr_in *)&health.address;

        snprintf(row.name, sizeof row.name, "%s", b->name);
        snprintf(row.pool, sizeof row.pool, "%s", conf->pools[b->pool].name);
        snprintf(row.host, sizeof row.host, "%s", b->host);
        backend_publish(&table->backend[i], &row);
        *at = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons(b->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        health_publish(&table->health[i], &health);
        history_add(&table->health_history[i], HEALTH_UP, HEALTH_DOWN, "healthd", "it hangs");
        history_add(&table->admin_history[i], ADMIN_READY, ADMIN_DRAIN, "operator", "signal");
        slots[i] = (uint16_t)i;
    }
}

int main(int argc, char **argv)
{
    struct conf_errors errors = {0};
    struct message message;
    int pair[2], status = 2, fd;

    if (argc != 4)
        die("want CONF BACKEND FOLDER");
    const struct conf *conf = conf_load(argv[1], &errors);
    for (size_t i = 0; i < errors.n; i++)
        fprintf(stderr, "%s\n", errors.v[i]);
    const struct conf_backend *b = conf ? conf_backend_find(conf, argv[2]) : NULL;
    if (!b)
        die("no such backend");
    struct table *table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        die("no table");
    fill_table(table, conf);
    heritage = (struct heritage){.kind = KIND_RESTARTER,
                                 .conf = conf,
                                 .table = table,
                                 .control_fd = pair[1],
                                 .backend_slot = slots,
                                 .action = {.backend = b->index,
                                            .incident = "20261123T040506-1",
                                            .reason = "it was ill for the test"}};
    snprintf(heritage.action.evidence, sizeof heritage.action.evidence, "%s", argv[3]);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        restarter_main(&heritage);
    }
    close(pair[1]);
    waitpid(pid, &status, 0);
    while (message_recv(pair[0], &message, &fd) == 1)
        if (message.type == MESSAGE_TOLD)
            printf("%s\n", message.body.text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
