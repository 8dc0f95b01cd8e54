/* acmed/order/job.h: a network helper that sends without end has its rounds, then acmed looks
 * after the other certificates. The test is the helper. */
#include "acmed/order/job.h"

#include <sys/socket.h>
#include <unistd.h>

#include "acmed/key/signer.h"
#include "acmed/net/ipc.h"
#include "base/fd.h"
#include "t/unit/tap.h"

static char scratch[IPC_MAX];

/* A challenge of dns-01 that was never published: its removal needs neither reply nor event. */
static const struct ipc_message removal = {
    .type = IPC_DROP,
    .challenge = {.kind = JOB_DNS_01, .token = STR_INIT("abc"), .name = STR_INIT("a.test")}};

static int fill(int helper)
{
    int n = 0;

    while (ipc_send(helper, &removal, scratch))
        n++;
    return n;
}

static int left(const struct job_run *run)
{
    int n = 0;

    while (recv(job_fd(run), scratch, sizeof scratch, MSG_DONTWAIT) > 0)
        n++;
    return n;
}

int main(void)
{
    static const char *const names[] = {"a.test"};
    static const struct signer_keys none;
    const struct job job = {.kind = JOB_ISSUE,
                            .directory = "https://ca.test/dir",
                            .names = names,
                            .n_names = 1,
                            .challenges = {JOB_DNS_01}};
    struct job_event event = {.type = JOB_FAILED};
    int forkserver[2], helper = -1, sent, calls = 0;
    struct job_run *run;
    char byte;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, forkserver) != 0 ||
        !(run = job_start(forkserver[0], &job, &none, NULL)))
        return 1;
    is_int(fd_recv(forkserver[1], &byte, 1, &helper), 1, "a job starts");
    ok(recv(helper, scratch, sizeof scratch, MSG_DONTWAIT) > 0, "the helper is told which");
    fd_nonblocking(helper, true);

    sent = fill(helper);
    job_serve(run, &event);
    is_int(event.type, JOB_NOTHING, "a flood of removals is no event");
    int rest = left(run);
    ok(rest > 0 && rest < sent, "some of it is taken, then others have their turn: %d of %d",
       sent - rest, sent);

    sent = fill(helper);
    close(helper);
    while (event.type == JOB_NOTHING && calls++ < sent)
        job_serve(run, &event);
    is_int(event.type, JOB_FAILED, "in the end all of it is: the helper has exited");
    ok(calls > 1 && calls < sent, "in a few turns: %d", calls);
    is_str(event.problem.detail, "the network helper exited", "which the event tells");

    job_end(run);
    close(forkserver[0]);
    close(forkserver[1]);
    return done();
}
