/* The restarter's parts: a restart by command, and what is kept of long texts. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"
#include "t/unit/tap.h"

/* ---- tail */

static const char *kept(struct tail *tail)
{
    static char text[64];
    size_t n;
    const char *bytes = tail_bytes(tail, &n);

    memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

static void test_tail(void)
{
    struct tail tail;
    char line[16];

    tail_init(&tail, 10);
    is_str(kept(&tail), "", "nothing yet");
    is_str(tail_last_line(&tail, line, sizeof line), "", "and no last line");
    tail_add(&tail, "one\n", 4);
    is_str(kept(&tail), "one\n", "what fits is whole");
    tail_add(&tail, "two\nthree\n", 10);
    is_str(kept(&tail), "three\n", "what does not loses its first lines, whole ones");
    tail_add(&tail, "4\n", 2);
    is_str(kept(&tail), "three\n4\n", "and goes on");
    is_str(tail_last_line(&tail, line, sizeof line), "4", "last line");
    tail_add(&tail, " \n\n\r\n", 5);
    is_str(tail_last_line(&tail, line, sizeof line), "4", "that has a word");
    tail_add(&tail, "0123456789abcdefghij", 20);
    is_str(kept(&tail), "abcdefghij", "a line that is longer than all: its end");
    is_int(tail.total, 41, "all is counted");
    tail_add(&tail, "\nb\033[2Jl", 7);
    is_str(tail_last_line(&tail, line, sizeof line), "b [2Jl", "no control bytes");
    tail_release(&tail);

    tail_init(&tail, 3);
    for (int i = 0; i < 100; i++)
        tail_add(&tail, &"abcdefg"[i % 7], 1);
    is_str(kept(&tail), "gab", "byte by byte"); /* 97..99 */
    tail_release(&tail);
    is_str(tail_plain(line, 4, "ab\xc3\xbc", 4), "ab", "no half character");
    is_str(tail_plain(line, 5, "ab\xc3\xbc", 4), "ab\xc3\xbc", "but a whole one");
}

/* ---- command */

static struct tail said;

static struct restart_result run(uint32_t timeout_ms, uint32_t stop_ms, const char *script)
{
    static const char *argv[3] = {"/bin/sh", "-c"};
    struct conf_backend b = {.name = "pas1",
                             .host = "::1",
                             .socket = "",
                             .port = 8810,
                             .restart_command = argv,
                             .n_restart_command = 3,
                             .restart_timeout_ms = timeout_ms,
                             .restart_stop_ms = stop_ms};
    struct restart_call call = {
        .backend = &b, .pool = "pas", .incident = "i-1", .reason = "it hangs", .said = &said};
    struct restart_result result = {0};

    argv[2] = script;
    tail_release(&said);
    tail_init(&said, 1000);
    restart_by_command(&call, &result);
    diag("%s", result.text);
    return result;
}

/* Every kill() of the code under test ends here. A group may be signalled only while its leader
 * is not reaped: afterwards the number may belong to others. */
static int groups_signalled, signalled_after_reaping;

int kill(pid_t pid, int sig)
{
    siginfo_t info;

    if (pid < -1) {
        groups_signalled++;
        signalled_after_reaping +=
            waitid(P_PID, (id_t)-pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
    }
    return (int)syscall(SYS_kill, pid, sig);
}

static bool says(const struct restart_result *r, const char *words)
{
    return strstr(r->text, words) != NULL;
}

static void test_command(void)
{
    struct restart_result r = run(20000, 1000, "echo first; echo well done");

    ok(r.done && says(&r, "/bin/sh succeeded after") && says(&r, ": well done"), "success");
    r = run(20000, 1000, "echo out; echo no such unit >&2; exit 5");
    ok(!r.done && says(&r, "exit code 5") && says(&r, ": no such unit"), "exit code");
    r = run(20000, 1000, "kill -SEGV $$");
    ok(!r.done && says(&r, "signal 11 (Seg"), "signal");
    r = run(20000, 1000, "env | sort | tail -n 9; test -z \"$HOME\"");
    size_t n;
    const char *env = tail_bytes(&said, &n);
    ok(r.done && memmem(env, n, "PASGATE_ADDRESS=[::1]:8810\n", 27) &&
           memmem(env, n, "PASGATE_BACKEND=pas1\n", 21) &&
           memmem(env, n, "PASGATE_INCIDENT=i-1\n", 21) &&
           memmem(env, n, "PASGATE_POOL=pas\n", 17) &&
           memmem(env, n, "PASGATE_REASON=it hangs\n", 24) && memmem(env, n, "PATH=/", 6),
       "its environment");
    r = run(20000, 1000, "cat; test \"$(pwd)\" = / && test ! -e /proc/self/fd/3");
    ok(r.done, "nothing to read, in /, and no descriptor of ours");
}

/* In this time even a busy host starts a shell that sets a trap. */
enum { UNTIL_TRAP_MS = 3000 };

static void test_command_signals(void)
{
    struct restart_result r;

    signal(SIGTERM, SIG_IGN); /* as in a child of the supervisor */
    r = run(300, 20000, "sleep 60 & wait; exit 3");
    ok(!r.done && says(&r, "did not end within 0.3 s") && says(&r, "SIGTERM ended it"),
       "it hangs: SIGTERM, for the whole group");
    uint64_t began = clock_mono_ms();
    r = run(UNTIL_TRAP_MS, 300, "trap '' TERM; while :; do sleep 0.05; done");
    ok(!r.done && says(&r, "ignored SIGTERM and was killed"), "it does not listen: killed");
    ok(clock_mono_ms() - began < 20000, "without waiting for ever");
    ok(groups_signalled >= 4 && signalled_after_reaping == 0,
       "no group is signalled after its leader was reaped");
    r = run(UNTIL_TRAP_MS, 20000, "(trap '' TERM; exec sleep 60) & echo $! >&2; wait; exit 3");
    size_t n;
    const char *bytes = tail_bytes(&said, &n);
    pid_t left = n ? (pid_t)atoi(bytes) : 0;
    for (int i = 0; i < 100 && left > 1 && syscall(SYS_kill, left, 0) == 0; i++)
        usleep(20000);
    ok(left > 1 && syscall(SYS_kill, left, 0) < 0, "and what it left behind is killed");
    is_int(waitpid(-1, NULL, WNOHANG), -1, "no zombie stays");
    signal(SIGTERM, SIG_DFL);
}

static void test_command_output(void)
{
    struct restart_result r = run(20000, 1000, "yes | head -c 3000000; echo; echo end");
    size_t n;

    ok(r.done && says(&r, ": end"), "three megabytes: the end is kept");
    tail_bytes(&said, &n);
    ok(n <= 1000 && said.total >= 3000000, "and no more than there is room for");
    r = run(300, 1000, "yes");
    ok(!r.done && says(&r, "did not end"), "output without an end ends at the deadline");
    r = run(20000, 1000, "sleep 2 & echo started");
    ok(r.done && says(&r, ": started"), "what stays in the background is not waited for");
    static const char *none[] = {"/no/such/program"};
    struct conf_backend b = {.name = "b",
                             .host = "h",
                             .socket = "",
                             .restart_command = none,
                             .n_restart_command = 1};
    struct restart_call call = {
        .backend = &b, .pool = "", .incident = "", .reason = "", .said = &said};
    restart_by_command(&call, &r);
    is_str(r.text, "cannot run /no/such/program: No such file or directory", "no program");
}

int main(void)
{
    test_tail();
    test_command();
    test_command_signals();
    test_command_output();
    tail_release(&said);
    return done();
}
