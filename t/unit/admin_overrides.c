/* The file of operators' overrides: what is written is read back, what is not just so is
 * refused, and a folder where others can write is not believed. */
#include "supervisor/backend/admin_overrides.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "t/unit/tap.h"

#define HEAD "pasgate wishes 1\n"

static struct admin_overrides list, copy;
static char text[ADMIN_OVERRIDES_BYTES];
static struct identity self; /* change = false: the folder is STORE/state */

static struct admin_override override(const char *backend, enum admin_state state)
{
    struct admin_override w = {.override = (uint8_t)state,
                               .since_wall_ms = UINT64_C(1790000000123)};

    snprintf(w.backend, sizeof w.backend, "%s", backend);
    snprintf(w.who, sizeof w.who, "uid 1000");
    snprintf(w.reason, sizeof w.reason, "asked for by an operator");
    return w;
}

static void test_list(void)
{
    struct admin_override w = override("pas1", ADMIN_DRAIN);

    ok(!admin_overrides_find(&list, "pas1"), "an empty list");
    ok(admin_overrides_put(&list, &w) && list.changed, "put");
    w.override = ADMIN_MAINT;
    ok(admin_overrides_put(&list, &w) && list.n == 1, "the last word of a backend counts");
    is_int(admin_overrides_find(&list, "pas1")->override, ADMIN_MAINT, "found");
    w = override("pas2", ADMIN_READY);
    admin_overrides_put(&list, &w);
    admin_overrides_drop(&list, "pas1");
    ok(!admin_overrides_find(&list, "pas1") && admin_overrides_find(&list, "pas2"),
       "dropped, the other stays");
    list.changed = false;
    admin_overrides_drop(&list, "pas1");
    ok(!list.changed, "to drop what is not there changes nothing");
}

/* A drain that has ended is so after a restart. */
static void test_drained(void)
{
    static const uint8_t ends[] = {DRAIN_GOES_ON, DRAIN_EMPTY, DRAIN_CUT};
    static const char *const words[] = {"\tdrain\t", "\tdrained\t", "\tcut\t"};

    for (int i = 0; i < 3; i++) {
        struct admin_override w = override("pas1", ADMIN_DRAIN);

        list = copy = (struct admin_overrides){0};
        w.drained = ends[i];
        admin_overrides_put(&list, &w);
        size_t n = admin_overrides_format(&list, text);
        ok(strstr(text, words[i]) != NULL, "written as%s", words[i]);
        is_int(admin_overrides_parse(&copy, text, n), 0, "and read");
        ok(copy.n == 1 && memcmp(copy.v, list.v, sizeof copy.v[0]) == 0, "as it was");
    }
}

static void test_full(void)
{
    struct admin_override w;
    char name[TABLE_NAME];

    list = copy = (struct admin_overrides){0};
    for (int i = 0; i < ADMIN_OVERRIDES_MAX; i++) {
        snprintf(name, sizeof name, "%0*d", TABLE_NAME - 1, i);
        w = override(name, ADMIN_DRAIN);
        memset(w.who, 'w', sizeof w.who - 1);
        memset(w.reason, 'r', sizeof w.reason - 1);
        w.since_wall_ms = UINT64_C(9999999999999999);
        if (!admin_overrides_put(&list, &w))
            fail("no room for the %dth", i);
    }
    w = override("one-more", ADMIN_DRAIN);
    ok(!admin_overrides_put(&list, &w), "one more than there is room for");
    size_t n = admin_overrides_format(&list, text);
    ok(n == strlen(text) && n < ADMIN_OVERRIDES_BYTES, "the longest file fits: %zu bytes", n);
    is_int(admin_overrides_parse(&copy, text, n), 0, "and is read");
    ok(copy.n == ADMIN_OVERRIDES_MAX && memcmp(copy.v, list.v, sizeof copy.v) == 0,
       "as it was");
}

static unsigned parse(const char *from, size_t n)
{
    memcpy(text, from, n);
    text[n] = '\0';
    copy = (struct admin_overrides){0};
    return admin_overrides_parse(&copy, text, n);
}

static void test_strict(void)
{
    static const char good[] = HEAD "pas1\tdrain\tuid 0\t1790000000123\tfor the night\n";
    static const struct {
        const char *text, *what;
        unsigned line;
    } bad[] = {
        {"", "an empty file", 1},
        {"pasgate wishes 1", "a head without its end", 1},
        {"pasgate wishes 2\n", "another version", 1},
        {HEAD "\n", "an empty line", 2},
        {HEAD "pas1\tdrain\tuid 0\t17900\tx", "a line that is cut", 2},
        {HEAD "pas1\tdrain\tuid 0\t17900\n", "a field less", 2},
        {HEAD "pas1\tdrain\tuid 0\t17900\tx\ty\n", "a field more", 2},
        {HEAD "pas1\tdrain\tuid 0\t17900\t\n", "no reason", 2},
        {HEAD "\tdrain\tuid 0\t17900\tx\n", "no name", 2},
        {HEAD "pas/1\tdrain\tuid 0\t17900\tx\n", "no such name", 2},
        {HEAD "pas1\tDRAIN\tuid 0\t17900\tx\n", "no such override", 2},
        {HEAD "pas1\tdrain\tuid 0\t-1\tx\n", "no such time", 2},
        {HEAD "pas1\tdrain\tuid 0\t0x10\tx\n", "another such", 2},
        {HEAD "pas1\tdrain\tuid 0\t12345678901234567\tx\n", "a time too far", 2},
        {HEAD "pas1\tdrain\tuid 0\t1\tx\033[2J\n", "a control character", 2},
        {HEAD "pas1\tdrain\tuid 0\t1\tx\npas1\tmaint\tuid 0\t1\tx\n", "a backend twice", 3},
        {HEAD "pas1\tdrain\tuid 0\t1\tx\r\n", "a line of Windows", 2},
    };
    char longest[TABLE_NAME + 64];

    is_int(parse(good, strlen(good)), 0, "a good one");
    is_int(copy.n, 1, "has one override");
    is_str(copy.v[0].backend, "pas1", "its backend");
    is_int(copy.v[0].override, ADMIN_DRAIN, "override");
    is_str(copy.v[0].who, "uid 0", "who");
    is_int(copy.v[0].since_wall_ms, 1790000000123, "since");
    is_str(copy.v[0].reason, "for the night", "and reason");
    is_int(parse(HEAD, strlen(HEAD)), 0, "one without overrides");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        is_int(parse(bad[i].text, strlen(bad[i].text)), bad[i].line, "%s", bad[i].what);
        is_int(copy.n, 0, "and nothing is kept");
    }
    is_int(parse(HEAD "pas1\tdrain\0\tuid 0\t1\tx\n", sizeof HEAD + 22), 2, "a NUL byte");
    snprintf(longest, sizeof longest, HEAD "%0*d\tdrain\tu\t1\tx\n", TABLE_NAME, 1);
    is_int(parse(longest, strlen(longest)), 2, "a name too long");
}

static void spew(const char *path, const char *content)
{
    FILE *out = fopen(path, "w");

    if (!out || fputs(content, out) < 0 || fclose(out) != 0)
        exit(done());
}

/* Loads with so few descriptors that the directory can be opened but not the file. */
static bool without_descriptors(bool (*how)(const char *store), const char *store)
{
    struct rlimit limit, low;
    int next = dup(2);

    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)next + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    bool loaded = how(store);
    setrlimit(RLIMIT_NOFILE, &limit);
    return loaded;
}

static bool load(const char *store)
{
    admin_overrides_load(&copy, store, &self);
    return copy.n > 0;
}

static bool load_again(const char *store)
{
    (void)store;
    return admin_overrides_load_again(&copy);
}

/* An error of the host is no reason to lose what operators have set. */
static void test_unread(void)
{
    char store[] = "/tmp/unit-unread.XXXXXX", dir[64], file[80], bad[96], moved[64];
    struct admin_override w = override("pas1", ADMIN_DRAIN),
                          other = override("pas2", ADMIN_MAINT);

    if (!mkdtemp(store))
        exit(done());
    snprintf(dir, sizeof dir, "%s/state", store);
    snprintf(file, sizeof file, "%s/wishes", dir);
    snprintf(bad, sizeof bad, "%s.bad", file);
    snprintf(moved, sizeof moved, "%s/moved", store);
    list = (struct admin_overrides){0};
    admin_overrides_put(&list, &w);
    is_int(admin_overrides_save(&list, store, &self), SAVED_OK, "one override is stored");

    copy = (struct admin_overrides){0};
    ok(!without_descriptors(load, store), "its file cannot be read");
    ok(access(file, F_OK) == 0 && access(bad, F_OK) < 0, "it stays");
    is_int(admin_overrides_save(&copy, store, &self), SAVED_OK, "all is stored still");
    is_int(admin_overrides_save(&copy, "/tmp/elsewhere", &self), SAVED_OK, "nor does it move");
    ok(access(file, F_OK) == 0, "it stays");
    ok(!without_descriptors(load_again, store), "again");
    ok(load_again(store) && copy.n == 1 && !copy.changed, "then it can be read");
    ok(!load_again(store), "once");

    copy = (struct admin_overrides){0};
    without_descriptors(load, store);
    admin_overrides_put(&copy, &other);
    is_int(admin_overrides_save(&copy, store, &self), SAVED_NOT, "a new one is not stored yet");
    ok(copy.changed && copy.told && access(bad, F_OK) < 0, "nor the file replaced");
    ok(load_again(store) && copy.n == 2 && copy.changed, "but added to what is read late");
    is_int(admin_overrides_save(&copy, store, &self), SAVED_OK, "both are stored");
    copy = (struct admin_overrides){0};
    ok(load(store) && !!admin_overrides_find(&copy, "pas1") &&
           !!admin_overrides_find(&copy, "pas2"),
       "both are read");

    copy = (struct admin_overrides){0};
    without_descriptors(load, store);
    w.override = ADMIN_MAINT;
    admin_overrides_put(&copy, &w);
    admin_overrides_drop(&copy, "pas2");
    ok(!admin_overrides_find(&copy, "pas2"), "one is taken back");
    ok(load_again(store) && copy.n == 1 && copy.v[0].override == ADMIN_MAINT,
       "the operator's last word goes before what is read late");
    is_int(admin_overrides_save(&copy, store, &self), SAVED_OK, "and is stored");
    copy = (struct admin_overrides){0};
    ok(load(store) && copy.n == 1, "what was taken back does not come back");

    copy = (struct admin_overrides){0};
    without_descriptors(load, store);
    admin_overrides_put(&copy, &other);
    admin_overrides_drop(&copy, "pas3");
    is_int(admin_overrides_save(&copy, moved, &self), SAVED_OK,
           "stored where the store is now");
    ok(!copy.unread && access(file, F_OK) == 0, "the unread file stays at the old place");
    copy = (struct admin_overrides){0};
    ok(load(moved) && copy.n == 1, "with what there is");

    copy = (struct admin_overrides){0};
    without_descriptors(load, store);
    admin_overrides_put(&copy, &other);
    unlink(file);
    ok(admin_overrides_load_again(&copy) && copy.n == 1 && copy.changed, "a file that is gone");
    snprintf(file, sizeof file, "%s/state/wishes", moved);
    unlink(file);
    snprintf(file, sizeof file, "%s/state", moved);
    rmdir(file);
    rmdir(moved);
    rmdir(dir);
    rmdir(store);
}

static int lines_in(int fd)
{
    ssize_t n = pread(fd, text, sizeof text, 0);
    int lines = 0;

    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static void test_files(void)
{
    char store[] = "/tmp/unit-overrides.XXXXXX", other[40], dir[64], file[80], bad[96];
    struct admin_override w = override("pas1", ADMIN_DRAIN);
    int told = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    struct stat st;

    if (told < 0 || !mkdtemp(store))
        exit(done());
    snprintf(dir, sizeof dir, "%s/state", store);
    snprintf(file, sizeof file, "%s/wishes", dir);
    snprintf(bad, sizeof bad, "%s.bad", file);
    snprintf(other, sizeof other, "%s/other", store);

    list = (struct admin_overrides){0};
    admin_overrides_load(&list, store, &self);
    admin_overrides_save(&list, store, &self);
    ok(list.n == 0 && access(dir, F_OK) < 0, "no override, no file");
    admin_overrides_put(&list, &w);
    admin_overrides_save(&list, store, &self);
    ok(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600 && !list.changed, "one is written");
    ok(stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700, "in a folder of our own");
    copy = (struct admin_overrides){0};
    admin_overrides_load(&copy, store, &self);
    ok(copy.n == 1 && memcmp(copy.v, list.v, sizeof *copy.v) == 0 && !copy.changed, "and read");

    chmod(dir, 0777);
    copy = (struct admin_overrides){0};
    log_to_fd(told);
    admin_overrides_load(&copy, store, &self);
    admin_overrides_load_again(&copy);
    ok(!admin_overrides_load_again(&copy) && lines_in(told) == 1, "a wrong mode is told once");
    log_to_fd(STDERR_FILENO);
    close(told);
    ok(copy.n == 0 && copy.unread, "a folder where others can write is not believed");
    w = override("pas2", ADMIN_MAINT);
    admin_overrides_put(&copy, &w);
    admin_overrides_save(&copy, store, &self);
    ok(copy.changed && copy.told, "nor written to");
    chmod(dir, 0700);
    ok(admin_overrides_load_again(&copy) && copy.n == 2, "tried again, it is read");
    admin_overrides_save(&copy, store, &self);
    ok(!copy.changed && !copy.told, "and written");
    admin_overrides_drop(&copy, "pas2");
    admin_overrides_save(&copy, store, &self);
    w = override("pas1", ADMIN_DRAIN);

    admin_overrides_save(&list, other, &self);
    ok(access(file, F_OK) < 0, "another store: not left behind");
    copy = (struct admin_overrides){0};
    admin_overrides_load(&copy, other, &self);
    is_int(copy.n, 1, "but taken along");
    admin_overrides_save(&list, store, &self);

    spew(file, "rubbish\n");
    copy = (struct admin_overrides){0};
    admin_overrides_load(&copy, store, &self);
    ok(copy.n == 0 && access(file, F_OK) < 0 && access(bad, F_OK) == 0,
       "rubbish is kept aside");
    unlink(bad);
    ok(symlink("/etc/passwd", file) == 0, "a link");
    admin_overrides_load(&copy, store, &self);
    ok(copy.n == 0 && access(file, F_OK) < 0, "is not followed");
    admin_overrides_put(&copy, &w);
    admin_overrides_save(&copy, store, &self);
    ok(lstat(file, &st) == 0 && S_ISREG(st.st_mode), "and does not stand in the way");

    unlink(bad);
    unlink(file);
    rmdir(dir);
    snprintf(dir, sizeof dir, "%s/state", other);
    rmdir(dir);
    rmdir(other);
    rmdir(store);
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "unit");
    test_list();
    test_drained();
    test_full();
    test_strict();
    test_files();
    test_unread();
    return done();
}
