/* A table full of rubbish, as one has it whose writers were taken over: all that shows it goes
 * on, shows plain text only, and JSON that parses. */
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/object.h"
#include "shm/status/status.h"
#include "shm/table.h"
#include "supervisor/cli/cli.h"
#include "t/unit/tap.h"
#include "worker/status/page.h"

/* Even, so that each row looks whole. */
static const unsigned char patterns[] = {0xfe, 0x80, 0x9a, 0x1a, 0x02, 0x40};

static char conf_file[64], object_name[TABLE_OBJECT_NAME];
static struct table *table;

static void fill(unsigned char byte)
{
    memset(table, byte, sizeof *table);
    table->header.magic = TABLE_MAGIC;
    table->header.version = TABLE_VERSION;
    table->header.size = sizeof *table;
}

static void noise(void *p, size_t n)
{
    for (unsigned char *at = p; n > 0; n--)
        *at++ = (unsigned char)rand();
}

#define NOISE(thing, at)                   \
    do {                                   \
        struct thing##_row row;            \
        noise(&row, sizeof row);           \
        thing##_publish(&table->at, &row); \
    } while (0)

static void fill_noise(void)
{
    fill(0);
    NOISE(header, header);
    for (int i = 0; i < TABLE_BACKENDS; i++) {
        NOISE(backend, backend[i]);
        NOISE(admin, admin[i]);
        NOISE(health, health[i]);
        noise(&table->health_history[i], sizeof table->health_history[i]);
        noise(&table->admin_history[i], sizeof table->admin_history[i]);
        table->health_history[i].seq.n &= ~1u;
        table->admin_history[i].seq.n &= ~1u;
    }
    for (int i = 0; i < TABLE_CHILDREN; i++)
        NOISE(child, child[i]);
    table->cert_rows = UINT32_MAX; /* more than there can be */
    for (int i = 0; i < TABLE_CERTS; i++)
        NOISE(cert, cert[i]);
    noise(table->worker, sizeof table->worker[0] * 2);
    noise(&table->retired, sizeof table->retired);
}

/* Text for people: neither a control nor a byte that is no UTF-8. */
static bool is_plain(const char *text, size_t n, bool html)
{
    json_t *utf8 = json_stringn(text, n);

    json_decref(utf8);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && c != '\n') || c == 0x7f)
            return false;
        if (c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0)
            return false;
    }
    return utf8 || html;
}

static void test_pages(const char *what)
{
    static const char *const paths[] = {"/", "/status.json", "/metrics", "/healthz", "/readyz"};
    const char *type;
    int status;
    char *out = malloc(STATUS_PAGE_MAX);

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        ssize_t n = status_page_render(table, paths[i], STR_EMPTY, out, STATUS_PAGE_MAX, &type,
                                       &status);

        /* Names of bytes that all need an escape make it longer than a real one can be. */
        if (!ok(n > 0 || (i == 2 && n == -1), "%s: %s", what, paths[i]) || n < 0)
            continue;
        ok(is_plain(out, (size_t)n, false), "%s: %s is plain text", what, paths[i]);
        if (i == 1) {
            json_error_t e;
            json_t *j = json_loadb(out, (size_t)n, 0, &e);

            ok(j != NULL, "%s: JSON parses %s", what, j ? "" : e.text);
            json_decref(j);
        }
    }
    free(out);
}

/* ---- the command line, with a process that holds the table's lock */

static pid_t hold(struct object *object, int *go)
{
    int ready[2], end[2];
    char byte;

    if (pipe(ready) < 0 || pipe(end) < 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        table = table_create(object, object_name);
        if (table && write(ready[1], object->name, sizeof object->name) > 0)
            (void)!read(end[0], &byte, 1);
        object_remove(object);
        _exit(0);
    }
    close(ready[1]);
    close(end[0]);
    if (read(ready[0], object->name, sizeof object->name) != sizeof object->name)
        pid = -1;
    close(ready[0]);
    *go = end[1];
    return pid;
}

/* Exit code of a subcommand; what it says stands in out. */
static int say(int (*command)(const struct cli *), const struct cli *cli, char *out, size_t cap)
{
    FILE *to = tmpfile();
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(to), 1);
        dup2(fileno(to), 2);
        int code = command(cli);

        fflush(NULL);
        _exit(code);
    }
    waitpid(pid, &status, 0);
    rewind(to);
    size_t n = fread(out, 1, cap - 1, to);
    out[n] = '\0';
    fclose(to);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_commands(const char *what)
{
    static const struct {
        const char *name;
        int (*run)(const struct cli *);
        bool json;
    } commands[] = {{"status", cli_status, false},
                    {"status --json", cli_status, true},
                    {"why", cli_why, false},
                    {"cert list", cli_cert, false}};
    enum { SAID_MAX = 8 << 20 };
    char *out = malloc(SAID_MAX);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct cli cli = {.conf_file = conf_file, .json = commands[i].json, .backend = "1"};
        int code = say(commands[i].run, &cli, out, SAID_MAX);

        ok(code == CLI_OK || code == CLI_FAILURE || code == CLI_USAGE, "%s: %s ends by itself",
           what, commands[i].name);
        ok(!strstr(out, "not running"), "%s: %s finds the table", what, commands[i].name);
        if (!ok(is_plain(out, strlen(out), false), "%s: %s is plain text", what,
                commands[i].name))
            diag("%.300s", out);
    }
    free(out);
}

static void each(const char *what)
{
    test_pages(what);
    test_commands(what);
}

int main(void)
{
    struct object object;
    char pidfile[64], what[32];
    int go = -1;

    snprintf(conf_file, sizeof conf_file, "/tmp/unit-rubbish.%d.conf", (int)getpid());
    snprintf(pidfile, sizeof pidfile, "/tmp/unit-rubbish.%d.pid", (int)getpid());
    table_object_name(object_name, pidfile);
    FILE *f = fopen(conf_file, "w");
    fprintf(f,
            "pidfile = \"%s\"; pools = ( { name = \"p\"; backends = [ \"b:1\" ]; } ); "
            "certificates = ( { names = [ \"localhost\" ]; } );\n",
            pidfile);
    fclose(f);
    pid_t pid = hold(&object, &go);
    if (!ok(pid > 0, "a table"))
        return done();
    int fd = shm_open(object.name, O_RDWR, 0);
    is_int(object_holder(fd), pid, "its lock tells who holds it");
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    bool few = getenv("FEW") != NULL; /* under valgrind each one takes ten seconds */

    for (size_t i = 0; i < (few ? 1 : sizeof patterns); i++) {
        fill(patterns[i]);
        snprintf(what, sizeof what, "all 0x%02x", patterns[i]);
        each(what);
    }
    srand(1);
    for (int i = 0; i < (few ? 1 : 3); i++) {
        fill_noise();
        snprintf(what, sizeof what, "noise %d", i);
        each(what);
    }
    close(go);
    waitpid(pid, NULL, 0);
    unlink(conf_file);
    return done();
}
