/* The certificate store: layout, modes, numbers, what a crash leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "acmed/cert/store.h"
#include "acmed/cert/store_delete.h"
#include "t/unit/bad_disk.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-store-XXXXXX";
static char path[128]; /* of the store */

static const struct pem_pair sample = {"CHAIN", "KEY", 5, 3};

/* A file system without links: instead of libc's. */
static int link_error;

int symlinkat(const char *to, int dir, const char *name)
{
    if (link_error) {
        errno = link_error;
        return -1;
    }
    return (int)syscall(SYS_symlinkat, to, dir, name);
}

static const char *at(const char *below)
{
    static char full[512];

    snprintf(full, sizeof full, "%s/%s", path, below);
    return full;
}

static int mode_of(const char *below)
{
    struct stat st;

    return stat(at(below), &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static void put(const char *below, const char *text)
{
    int fd = open(at(below), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "put %s", below);
    close(fd);
}

/* As with SMB: what is live is written down nevertheless. */
static void test_no_links(struct store *store)
{
    static const int errors[] = {EPERM, EOPNOTSUPP, ENOSYS};
    struct stat st;

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        link_error = errors[i];
        is_int(store_set_current(store, "nolink.test", 2) + 1, 0, "no directory yet");
        store_write(store, "nolink.test", 0, &sample, CERT_FILE);
        store_write(store, "nolink.test", 0, &sample, CERT_FILE);
        is_int(store_set_current(store, "nolink.test", 2), 0, "no links (%s)",
               strerror(errors[i]));
        is_int(store_current(store, "nolink.test"), 2, "  what is live is known");
        is_int(mode_of("certs/nolink.test/current"), STORE_FILE_MODE, "  to workers, too");
        is_int(store_set_current(store, "nolink.test", 1), 0, "  another one");
        sync_fails = 2; /* the file, the directory */
        ok(store_set_current(store, "nolink.test", 2) < 0 && errno == EIO, "  a disk fails");
        sync_fails = 0;
        is_int(store_current(store, "nolink.test"), 1, "  then the one before is live");
        link_error = 0;
        ok(store_set_current(store, "nolink.test", 2) == 0 &&
               lstat(at("certs/nolink.test/current"), &st) == 0 && S_ISLNK(st.st_mode),
           "  links again");
        link_error = ENOSPC;
        ok(store_set_current(store, "nolink.test", 1) < 0 && errno == ENOSPC,
           "  another error is one");
        link_error = 0;
        is_int(store_current(store, "nolink.test"), 2, "  nothing has changed");
        is_int(store_delete(path, "nolink.test"), 0, "  deleted");
    }
}

static void test_current(struct store *store)
{
    uint32_t list[8];

    is_int(store_current(store, "cur.test"), 0, "no current one");
    for (int i = 0; i < 3; i++)
        store_write(store, "cur.test", 0, &sample, CERT_FILE);
    is_int(store_set_current(store, "cur.test", 2), 0, "it is written down");
    is_int(store_current(store, "cur.test"), 2, "which one");
    is_int(store_set_current(store, "cur.test", 1), 0, "and again");
    is_int(store_current(store, "cur.test"), 1, "another one");
    store_reject(store, "cur.test", 3);
    is_int(store_list(store, "cur.test", list, 8), 2, "one that is bad is not listed");
    is_int(store_write(store, "cur.test", 0, &sample, CERT_FILE), 4,
           "its number does not return");
    store_reject(store, "cur.test", 4);
    ok(mode_of("certs/cur.test/.bad-3") < 0 && mode_of("certs/cur.test/.bad-4") == 0750,
       "the last of these is kept");
    is_int(store_write(store, "cur.test", 0, &sample, CERT_FILE), 5, "still the next number");
    ok(symlink("9", at("certs/cur.test/.new-current")) == 0 &&
           store_set_current(store, "cur.test", 5) == 0 &&
           store_current(store, "cur.test") == 5,
       "a link that was left half-way does no harm");
}

static void test_no_dir_sync(struct store *store)
{
    no_dir_sync = true;
    is_int(store_write(store, "nosync.test", 0, &sample, CERT_FILE), 1,
           "directories cannot be synced: it is written");
    is_int(store_set_current(store, "nosync.test", 1), 0, "  it is live");
    is_int(store_put_event(store, "nosync.test", 1, "issued"), 0, "  with its event");
    is_int(store_mark_revoked(store, "nosync.test", 1, 4), 0, "  and marked");
    is_int(store_delete(path, "nosync.test"), 0, "  and deleted");
    no_dir_sync = false;
}

static void test_write_and_read(struct store *store)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;
    uint32_t list[8];

    is_int(store_list(store, "a.test", list, 8), 0, "nothing at first");
    is_int(store_write(store, "a.test", 0, &sample, CERT_FILE), 1, "the first is generation 1");
    is_int(mode_of("certs/a.test"), 0750, "the folder is for user and group");
    is_int(mode_of("certs/a.test/1"), 0750, "that of the generation too");
    is_int(mode_of("certs/a.test/1/key.pem"), 0640, "the key is");
    is_int(mode_of("certs/a.test/1/fullchain.pem"), 0640, "and the chain");

    is_int(store_read(store, "a.test", 1, &pair, &source), 0, "it reads back");
    is_mem(pair.chain, pair.n_chain, "CHAIN", 5, "  the chain");
    is_mem(pair.key, pair.n_key, "KEY", 3, "  the key");
    is_int(source, CERT_FILE, "  where it came from");
    pem_pair_release(&pair);
    ok(!pair.key && pair.n_key == 0, "released");
    ok(store_read(store, "a.test", 2, &pair, &source) < 0 && errno == ENOENT, "2 is not there");
    ok(store_read(store, "b.test", 1, &pair, &source) < 0, "nor is another certificate");
}

/* Each fsync() of a write fails in turn: nothing is left, and the number is not used up. */
static void test_failing_disk(const struct store *store)
{
    uint32_t list[8], written = 0;
    int n = 0;

    is_int(store_write(store, "eio.test", 0, &sample, CERT_FILE), 1, "before the disk fails");
    is_int(store_set_current(store, "eio.test", 1), 0, "  it is live");
    for (; n < 20 && !written; n++) {
        sync_fails = n + 1;
        written = store_write(store, "eio.test", 0, &sample, CERT_FILE);
        if (!written)
            ok(errno == EIO && store_list(store, "eio.test", list, 8) == 1 &&
                   mode_of("certs/eio.test/2") < 0,
               "fsync %d fails: no generation is left behind", n + 1);
    }
    sync_fails = 0;
    is_int(written, 2, "then it is written");
    ok(n > 4, "the folders' own fsync was among them");
    sync_fails = 1;
    ok(store_set_current(store, "eio.test", 2) < 0 && errno == EIO,
       "the link cannot be synced");
    is_int(store_current(store, "eio.test"), 1, "  so it is unchanged");
    ok(unlink(at("certs/eio.test/current")) == 0, "without a link");
    sync_fails = 1;
    ok(store_set_current(store, "eio.test", 2) < 0 && errno == EIO, "  nor the first one");
    is_int(store_current(store, "eio.test"), 0, "  there is still none");
    sync_fails = 0;
}

/* The event that the hook is called for, and how many calls for it have begun. */
static void test_event(const struct store *store)
{
    const struct store_calls one = {1, 0}, two = {2, 0}, cut = {2, 9};
    struct store_calls calls;

    is_int(store_write(store, "event.test", 0, &sample, CERT_FILE), 1, "a generation");
    ok(!store_event(store, "event.test", 1) && !store_event_calls(store, "event.test", 1).begun,
       "no event is noted");
    is_int(store_note_calls(store, "event.test", 1, one), 0, "  nor are calls for none");
    ok(!store_event(store, "event.test", 1), "  which makes none");
    is_int(store_put_event(store, "event.test", 1, "renewed"), 0, "noted");
    is_int(store_event_calls(store, "event.test", 1).begun, 0, "  no call has begun");
    sync_fails = 1;
    ok(store_note_calls(store, "event.test", 1, one) < 0 && errno == EIO, "a failing disk");
    sync_fails = 0;
    is_str(store_event(store, "event.test", 1), "renewed", "  does not lose it");
    is_int(store_note_calls(store, "event.test", 1, two), 0, "calls have begun");
    calls = store_event_calls(store, "event.test", 1);
    ok(calls.begun == 2 && calls.cut == 0, "  which is kept");
    is_int(store_note_calls(store, "event.test", 1, cut), 0, "most of them were cut");
    calls = store_event_calls(store, "event.test", 1);
    ok(calls.begun == 2 && calls.cut == 9, "  which is kept, too");
    is_str(store_event(store, "event.test", 1), "renewed", "  with the event");
    store_drop_event(store, "event.test", 1);
    ok(!store_event(store, "event.test", 1) && !store_event_calls(store, "event.test", 1).begun,
       "dropped after the call");
}

/* More than are listed at once, in no order: the newest are listed and kept. */
static void test_very_many(const struct store *store)
{
    enum { MANY = 3001 };
    uint32_t list[8];
    char name[64];
    bool made = true;

    store_write(store, "many.test", 0, &sample, CERT_FILE);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "certs/many.test/%u", 2 + i * 1009 % MANY);
        made &= mkdir(at(name), 0700) == 0;
    }
    ok(made, "%d generations", MANY);
    is_int(store_list(store, "many.test", list, 8), 8, "as many are listed as are asked for");
    ok(list[0] == MANY + 1 && list[7] == MANY - 6, "the newest: %u to %u", list[0], list[7]);
    store_set_current(store, "many.test", 1);
    for (int i = 0; i < 4; i++)
        store_prune(store, "many.test");
    ok(store_list(store, "many.test", list, 8) <= STORE_KEEP + 1 && list[0] == MANY + 1,
       "pruned to the newest");
    is_int(mode_of("certs/many.test/1"), 0750, "and the live one");
}

static uint32_t write_pair(const struct store *store, const char *dir, char which)
{
    char chain[] = {which, '\0'}, key[] = "KEY";
    const struct pem_pair pair = {chain, key, 1, 3};

    return store_write(store, dir, 0, &pair, CERT_SELF_SIGNED);
}

/* Of copies the newest is kept, and three pairs however many copies there are. */
static void test_copies(const struct store *store)
{
    static char chain[] = "B", key[] = "KEY";
    const struct pem_pair b = {chain, key, 1, 3};
    enum cert_source source;
    struct pem_pair pair;
    uint32_t list[8];

    for (char which = 'A'; which <= 'C'; which++)
        write_pair(store, "copy.test", which);
    is_int(store_write_again(store, "copy.test", 0, &b, CERT_FILE, 2), 4, "a copy of 2");
    is_int(store_origin(store, "copy.test", 4), 2, "  is known as such");
    is_int(store_origin(store, "copy.test", 3), 3, "others are their own");
    is_int(store_read(store, "copy.test", 4, &pair, &source), 0, "  is read");
    is_int(source, CERT_FILE, "  from where the other one is");
    pem_pair_release(&pair);
    store_set_current(store, "copy.test", 4);
    store_prune(store, "copy.test");
    ok(store_list(store, "copy.test", list, 8) == 3 && list[0] == 4 && list[1] == 3 &&
           list[2] == 1,
       "three pairs are left, each once");
    store_set_current(store, "copy.test", 1);
    for (char which = 'D'; which <= 'F'; which++)
        write_pair(store, "copy.test", which);
    store_prune(store, "copy.test");
    ok(store_list(store, "copy.test", list, 8) == 4 && list[3] == 1, "never the live one");
}

static void test_numbers(struct store *store)
{
    uint32_t list[8];
    int n;

    for (uint32_t g = 2; g <= 11; g++)
        write_pair(store, "a.test", (char)('A' + g));
    n = store_list(store, "a.test", list, 8);
    ok(n == 8 && list[0] == 11 && list[7] == 4, "listed by number, newest first");
    store_prune(store, "a.test");
    n = store_list(store, "a.test", list, 8);
    ok(n == STORE_KEEP && list[0] == 11 && list[2] == 9, "pruned to the newest three");
    is_int(store_write(store, "a.test", 20, &sample, CERT_ACME), 21,
           "above what was published");

    mkdir(at("certs/a.test/007"), 0700);
    mkdir(at("certs/a.test/99x"), 0700);
    mkdir(at("certs/a.test/99999999999"), 0700);
    n = store_list(store, "a.test", list, 8);
    ok(n == 4 && list[0] == 21, "other folders are not taken for generations");
    is_int(store_write(store, "a.test", 0, &sample, CERT_FILE), 22, "and do not count");
}

static void test_leftovers(struct store *store)
{
    struct pem_pair pair;
    enum cert_source source;

    mkdir(at("certs/a.test/.new-23-4711"), 0700);
    put("certs/a.test/.new-23-4711/key.pem", "half a ke");
    is_int(store_write(store, "a.test", 0, &sample, CERT_FILE), 23, "after a crash: goes on");
    is_int(mode_of("certs/a.test/.new-23-4711"), -1, "and sweeps up");

    mkdir(at("certs/a.test/30"), 0700);
    put("certs/a.test/30/fullchain.pem", "CHAIN");
    ok(store_read(store, "a.test", 30, &pair, &source) < 0, "a generation without key");
    put("certs/a.test/30/key.pem", "KEY");
    is_int(store_read(store, "a.test", 30, &pair, &source), 0, "and without meta");
    is_int(source, CERT_NONE, "  is read, from nowhere known");
    pem_pair_release(&pair);
}

/* A FIFO that nobody writes to: whoever opens it as a file waits for ever. */
static void test_fifo(struct store *store)
{
    static const char *const files[] = {"key.pem", "fullchain.pem", "meta", "revoked", "event"};
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;

    alarm(60);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint32_t generation = store_write(store, "fifo.test", 0, &sample, CERT_FILE);
        char file[64];

        snprintf(file, sizeof file, "certs/fifo.test/%u/%s", generation, files[i]);
        unlink(at(file));
        ok(mkfifo(at(file), 0600) == 0, "%s is a FIFO", files[i]);
        if (store_read(store, "fifo.test", generation, &pair, &source) == 0) {
            ok(i > 1 || pair.n_key == 0 || pair.n_chain == 0, "  nothing is in it");
            pem_pair_release(&pair);
        }
        ok(!store_event(store, "fifo.test", generation), "  nor is an event");
        is_int(store_marked_reason(store, "fifo.test", generation), 0, "  nor a reason");
    }
    alarm(0);
}

static void test_hostile(struct store *store)
{
    static char big[STORE_PEM_MAX + 2];
    struct pem_pair pair;
    enum cert_source source;

    memset(big, 'x', sizeof big - 1);
    put("certs/a.test/30/key.pem", big);
    ok(store_read(store, "a.test", 30, &pair, &source) < 0 && errno == EFBIG, "a huge key");
    unlink(at("certs/a.test/30/key.pem"));
    ok(symlink("/etc/passwd", at("certs/a.test/30/key.pem")) == 0 &&
           store_read(store, "a.test", 30, &pair, &source) < 0,
       "a link is not followed");
    put("certs/c.test", "a file in the place of a folder");
    is_int(store_write(store, "c.test", 0, &sample, CERT_FILE), 0, "no folder, no generation");
    ok(errno == ENOTDIR || errno == EEXIST, "  and errno says why");
}

/* Another service has it: what is there can be read, and that is all. */
static void test_of_another(const struct store *store)
{
    uint32_t generations[4];
    int n = store_list(store, "a.test", generations, 4);
    enum cert_source source;
    struct pem_pair pair;

    ok(!store->ours && n > 0, "the store of another service is listed");
    is_int(store_read(store, "a.test", generations[0], &pair, &source), 0, "and read");
    errno = 0;
    ok(store_write(store, "a.test", 0, &pair, source) == 0 && errno == EBUSY, "not written");
    ok(store_set_current(store, "a.test", generations[0]) < 0 && errno == EBUSY,
       "nothing is made live");
    store_prune(store, "a.test");
    store_reject(store, "a.test", generations[0]);
    is_int(store_list(store, "a.test", generations, 4), n, "nor taken away");
    pem_pair_release(&pair);
}

static void see(void *to, const char *dir)
{
    *(int *)to += strcmp(dir, "del.test") == 0;
}

/* All of it goes, and nothing else; also what a crash left, and nothing behind a link. */
static void test_delete(struct store *store)
{
    uint32_t n = 0;
    int seen = 0;

    for (int i = 0; i < 2; i++)
        store_write(store, "del.test", 0, &sample, CERT_ACME);
    store_set_current(store, "del.test", 2);
    store_write(store, "stays.test", 0, &sample, CERT_ACME);
    ok(mkdir(at("orders"), 0700) == 0 && mkdir(at("orders/del.test"), 0700) == 0 &&
           mkdir(at("certs/.deleted-1"), 0700) == 0 && mkdir(at("outside"), 0700) == 0,
       "folders");
    put("orders/del.test/state", "failures=1\n");
    put("certs/.deleted-1/key.pem", "KEY");
    put("outside/file", "mine");
    ok(symlink("../../outside", at("certs/del.test/link")) == 0, "a link to elsewhere");
    ok(store_knows(path, "del.test", &n) && n == 2, "it is known, with its generations");
    store_each(path, see, &seen);
    is_int(seen, 1, "and listed");
    is_int(store_delete(path, "del.test"), 0, "deleted");
    ok(mode_of("certs/del.test") < 0 && mode_of("orders/del.test") < 0, "both folders");
    ok(mode_of("certs/.deleted-1") < 0, "and the rest of another one");
    ok(mode_of("certs/stays.test/1/key.pem") == 0640, "what has another name stays");
    ok(mode_of("outside/file") == 0600, "and what a link led to");
    ok(store_delete(path, "del.test") < 0 && errno == ENOENT, "there is nothing any more");
    ok(!store_knows(path, "del.test", &n) && n == 0, "nor is it known");
    ok(!store_is_dir("..") && !store_is_dir(".new-1") && !store_is_dir("a/b") &&
           !store_is_dir(""),
       "these are no certificates");
}

int main(void)
{
    struct store store = {.certs_fd = -1}, second = {.certs_fd = -1};
    char clean[64];

    umask(0077); /* modes must not depend on it */
    if (!mkdtemp(root))
        return 1;
    snprintf(path, sizeof path, "%s/store", root);
    is_int(store_open(&store, path), 0, "the store is made");
    ok(store_open(&second, path) < 0 && errno == EBUSY, "nobody else may have it meanwhile");
    is_str(store_says(errno), "another pasgate uses it", "  and is told why");
    test_write_and_read(&store);
    test_event(&store);
    test_of_another(&second);
    test_current(&store);
    test_no_links(&store);
    test_no_dir_sync(&store);
    test_failing_disk(&store);
    test_very_many(&store);
    test_numbers(&store);
    test_copies(&store);
    test_leftovers(&store);
    test_hostile(&store);
    test_fifo(&store);
    test_delete(&store);
    store_release(&store);
    is_int(store_open(&second, path), 0, "but afterwards");
    ok(second.ours && store_open(&second, path) == 0, "and it stays so");
    store_release(&second);
    snprintf(path, sizeof path, "%s/no/such", root);
    ok(store_open(&store, path) < 0 && store.certs_fd == -1, "a parent that is missing");
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
