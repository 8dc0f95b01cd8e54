/* An imported pair in place of the configured files: both or none, and what a kill left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/cert/import_put.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-import-put-XXXXXX";

/* A disk that fails: instead of libc's. 1: the next one fails; 0: none. */
static int sync_fails;

int fsync(int fd)
{
    if (sync_fails && --sync_fails == 0) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

/* And one that cannot put anything back: no rename of these files to their names. */
static bool back_fails;

int rename(const char *from, const char *to)
{
    if (back_fails && strstr(from, ".old-")) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static const char *at(const char *below)
{
    static char full[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(full[turn], sizeof full[turn], "%s/%s", root, below);
    return full[turn];
}

static void put(const char *below, const char *text)
{
    FILE *out = fopen(at(below), "w");

    if (!out || fputs(text, out) < 0 || fclose(out) != 0)
        abort();
}

/* "": there is none. */
static const char *text_of(const char *below)
{
    static char text[2][64];
    static int turn;
    FILE *in = fopen(at(below), "r");

    turn = !turn;
    memset(text[turn], 0, sizeof text[turn]);
    if (!in)
        return "";
    if (fread(text[turn], 1, sizeof text[turn] - 1, in) == 0)
        text[turn][0] = '\0';
    fclose(in);
    return text[turn];
}

static bool is_there(const char *below)
{
    struct stat st;

    return lstat(at(below), &st) == 0;
}

static int import(const char *key, const char *chain, struct import_put_failure *failure)
{
    const struct import_put_file file[IMPORT_PUT_FILES] = {
        {at("key"), key, strlen(key), 0600}, {at("chain"), chain, strlen(chain), 0644}};

    return import_put(file, failure);
}

static bool nothing_beside(void)
{
    char names[4][32] = {"key.new-", "key.old-", "chain.new-", "chain.old-"};
    bool none = true;

    for (int i = 0; i < 4; i++) {
        snprintf(names[i] + strlen(names[i]), 16, "%d", (int)getpid());
        none &= !is_there(names[i]);
    }
    return none;
}

static void pair_is(const char *key, const char *chain, const char *when)
{
    ok(strcmp(text_of("key"), key) == 0 && strcmp(text_of("chain"), chain) == 0,
       "%s: \"%s\" and \"%s\"", when, text_of("key"), text_of("chain"));
    ok(nothing_beside(), "%s: nothing is beside them", when);
}

/* Each fsync() fails in turn: the old pair, or none, is there as before. */
static void test_failing_disk(void)
{
    struct import_put_failure failure;
    struct stat st;
    int n = 0;

    for (sync_fails = 1; n < 9 && import("k1", "c1", &failure) < 0; sync_fails = ++n + 1) {
        ok(errno == EIO && !failure.mixed, "fsync %d fails", n + 1);
        pair_is("", "", "no pair yet");
    }
    is_int(n, 4, "two files and two names");
    pair_is("k1", "c1", "the first pair");
    ok(stat(at("key"), &st) == 0 && (st.st_mode & 07777) == 0600, "a private key");
    chmod(at("key"), 0640);
    for (n = 0, sync_fails = 1; n < 9 && import("k2", "c2", &failure) < 0;
         sync_fails = ++n + 1) {
        ok(errno == EIO && !failure.mixed, "fsync %d fails", n + 1);
        pair_is("k1", "c1", "the old pair");
    }
    sync_fails = 0;
    pair_is("k2", "c2", "then the new one");
    ok(stat(at("key"), &st) == 0 && (st.st_mode & 07777) == 0640,
       "with the mode of the old one");
}

static void test_second_fails(void)
{
    struct import_put_failure failure;

    unlink(at("chain"));
    mkdir(at("chain"), 0700);
    ok(import("k3", "c3", &failure) < 0, "the chain cannot be written");
    is_str(failure.path, at("chain"), "which is told");
    ok(!failure.mixed, "nothing is mixed");
    is_str(text_of("key"), "k2", "the key is the old one");
    ok(nothing_beside(), "nothing is beside them");
    rmdir(at("chain"));
}

/* The only copy of what was there is not removed, and it is told where it is. */
static void test_not_back(void)
{
    struct import_put_failure failure;
    char key[64], chain[64];

    put("chain", "c2");
    back_fails = true;
    sync_fails = 4; /* of the directory, after the second one has its name */
    ok(import("k3", "c3", &failure) < 0 && failure.mixed, "nothing can be put back");
    back_fails = false;
    snprintf(key, sizeof key, "key.old-%d", (int)getpid());
    snprintf(chain, sizeof chain, "chain.old-%d", (int)getpid());
    is_str(failure.kept[0], at(key), "where the key is, is told");
    is_str(failure.kept[1], at(chain), "and where the chain is");
    ok(strcmp(text_of(key), "k2") == 0 && strcmp(text_of(chain), "c2") == 0, "it is there");
    is_int(import("k2", "c2", &failure), 0, "the next one succeeds");
    pair_is("k2", "c2", "the pair");
}

static void test_leftovers(void)
{
    char dead[64], other[64], alive[64], ours[64];
    struct import_put_failure failure;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    snprintf(dead, sizeof dead, "key.new-%d", (int)pid);
    snprintf(other, sizeof other, "other.new-%d", (int)pid);
    snprintf(alive, sizeof alive, "chain.old-%d", (int)getppid());
    snprintf(ours, sizeof ours, "chain.new-%d", (int)getpid());
    put(dead, "k");
    put(other, "k");
    put(alive, "c");
    put(ours, "c");
    put("key.new-1x", "k");
    put("key.new-", "k");
    is_int(import("k4", "c4", &failure), 0, "imported");
    pair_is("k4", "c4", "the new pair");
    ok(!is_there(dead), "what a dead one left is gone");
    ok(is_there(other), "but not that of another file");
    ok(is_there(alive), "nor that of one that runs");
    ok(is_there("key.new-1x") && is_there("key.new-"), "nor what the operator called so");
}

static void test_link(void)
{
    struct import_put_failure failure;

    unlink(at("key"));
    put("key-of-2026", "k4");
    ok(symlink("key-of-2026", at("key")) == 0, "the key is a link");
    is_int(import("k5", "c5", &failure), 0, "imported");
    is_str(text_of("key-of-2026"), "k5", "what the link names is replaced");
}

int main(void)
{
    char clean[64];

    if (!mkdtemp(root))
        return 1;
    test_failing_disk();
    test_second_fails();
    test_not_back();
    test_leftovers();
    test_link();
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
