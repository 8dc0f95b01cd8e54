/* What the manual and the design notes promise to those who write a hook: the variables that
 * it really gets, and no other ones; its times and amounts. */
#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/helper/hook.h"
#include "acmed/helper/hook_runner.h"
#include "acmed/order/dns_records.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

enum { TEXT = 128 * 1024, NAMES = 2048 };

static char root[] = "/tmp/pasgate-hook-manual-XXXXXX";
static char program[64], output[64], manual[TEXT], notes[TEXT];

/* ---- sets of names: "A\nB\n", sorted */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(char *names)
{
    char copy[NAMES], *list[64], *next = copy;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", names);
    for (char *name; (name = strsep(&next, "\n")) != NULL && n < 64;)
        if (*name)
            list[n++] = name;
    qsort(list, n, sizeof *list, by_name);
    names[0] = '\0';
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(list[i], list[i - 1]) != 0)
            sprintf(names + strlen(names), "%s\n", list[i]);
}

/* Adds each PASGATE_NAME in this text. */
static void take_names(const char *p, const char *end, char *names)
{
    while ((p = strstr(p, "PASGATE_")) != NULL && p < end) {
        size_t n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

        sprintf(names + strlen(names), "%.*s\n", (int)n, p);
        p += n;
    }
}

/* The names on the lines that begin like this. */
static void names_told(const char *text, const char *begin, char *names)
{
    names[0] = '\0';
    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, begin, strlen(begin)) == 0)
            take_names(p, p + strcspn(p, "\n"), names);
    sort_names(names);
}

/* ---- what is told */

static void read_section(FILE *in, const char *begin, const char *end, char *out)
{
    static char all[8 * TEXT];
    size_t n = in ? fread(all, 1, sizeof all - 1, in) : 0;
    char *from, *to;

    all[n] = '\0';
    from = strstr(all, begin);
    to = from ? strstr(from + 1, end) : NULL;
    snprintf(out, TEXT, "%.*s", to ? (int)(to - from) : 0, from ? from : "");
    if (in)
        fclose(in);
}

static void read_texts(void)
{
    FILE *made = tmpfile();

    conf_manual(made);
    rewind(made);
    read_section(made, ".Sh THE HOOK", "\n.Sh ", manual);
    read_section(fopen("docs/certificates.md", "r"), "\n## The hook", "\n## Tests", notes);
    ok(*manual && *notes, "both texts are there");
}

/* White space is single; the whole text, so that a line's end may be anywhere. */
static const char *flat(const char *text)
{
    static char out[TEXT];
    size_t n = 0;

    for (const char *p = text; *p; p++)
        if (!isspace((unsigned char)*p) || (n && out[n - 1] != ' '))
            out[n++] = isspace((unsigned char)*p) ? ' ' : *p;
    out[n] = '\0';
    return out;
}

/* ---- what it gets */

static void run(struct hook_call *call)
{
    struct hook hook = {0};
    enum hook_result got = HOOK_RUNS;

    is_int(hook_start(&hook, call, 0), 0, "%s: started", call->event);
    for (int i = 0; i < 6000 && (got = hook_poll(&hook, 0)) == HOOK_RUNS; i++)
        usleep(10000);
    is_int(got, HOOK_GOOD, "%s: ended well", call->event);
}

/* The names of all variables but these two: ours, and that of the test. */
static void names_given(char *names)
{
    char text[TEXT];
    FILE *in = fopen(output, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;

    text[n] = names[0] = '\0';
    for (char *p = text; p < text + n; p += strlen(p) + 1)
        if (strncmp(p, "KEPT=", 5) != 0)
            sprintf(names + strlen(names), "%.*s\n", (int)strcspn(p, "="), p);
    if (in)
        fclose(in);
    sort_names(names);
}

static bool given(const char *names, const char *name)
{
    char line[128];

    snprintf(line, sizeof line, "%s\n", name);
    return strstr(names, line) != NULL;
}

/* Those of ours alone; HOME and the like must be there. */
static void ours(char *names)
{
    static const char *const others[] = {"HOME", "LOGNAME", "USER", "PATH"};
    char all[NAMES];

    snprintf(all, sizeof all, "%s", names);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ok(given(names, others[i]), "%s is given", others[i]);
    names[0] = '\0';
    for (char *name, *next = all; (name = strsep(&next, "\n")) != NULL;) {
        bool other = !*name;

        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            other |= strcmp(name, others[i]) == 0;
        if (!other)
            sprintf(names + strlen(names), "%s\n", name);
    }
}

static void script(void)
{
    FILE *out = fopen(program, "w");

    fprintf(out, "#!/bin/sh\ncat /proc/$$/environ >%s\n", output);
    fprintf(out, "test \"$(cat)\" = '' && test $# = 0 && test \"$(pwd)\" = /\n");
    fclose(out);
    chmod(program, 0700);
}

static void test_variables(void)
{
    static const char *const list[] = {"a.test", "*.a.test"};
    struct hook_call call = {.program = program,
                             .event = "dns-put",
                             .certificate = "shop",
                             .names = list,
                             .n_names = 2,
                             .dns_name = "_acme-challenge.a.test",
                             .dns_target = "x.b.test",
                             .dns_value = "v"};
    char got[NAMES], told[NAMES], noted[NAMES];

    clearenv();
    setenv("KEPT", "1", 1);
    setenv("PASGATE_OLD", "1", 1);
    is_int(hook_open(program), 0, "who starts it");
    run(&call);
    names_given(got);
    ours(got);
    names_told(manual, ".It Ev ", told);
    names_told(notes, "| `PASGATE_", noted);
    is_str(told, got, "the manual has what the hook gets, and no more");
    is_str(noted, got, "the design notes have it, too");

    call = (struct hook_call){.program = program,
                              .event = "issued",
                              .certificate = "shop",
                              .names = list,
                              .n_names = 2,
                              .chain = "/s/c",
                              .key = "/s/k"};
    run(&call);
    names_given(got);
    for (const char *p = manual; (p = strstr(p, ".It Ev PASGATE_DNS_")) != NULL; p++) {
        const char *text = strchr(p, '\n') + 1;
        char name[64];

        snprintf(name, sizeof name, "%.*s", (int)(text - 1 - (p + 7)), p + 7);
        ok(strncmp(text, "dns-*: ", 7) == 0 && !given(got, name), "%s is for dns-* only", name);
    }
    hook_close();
}

static void says(const char *before, int number, const char *after)
{
    char want[128], word[16];

    snprintf(word, sizeof word, "%d", number);
    snprintf(want, sizeof want, "%s %s %s", before,
             number == 3    ? "three"
             : number == 10 ? "ten"
                            : word,
             after);
    ok(strstr(flat(manual), want) != NULL, "the manual says: %s", want);
}

static void test_numbers(void)
{
    static const char *const events[] = {
        "issued or renewed: ", "failed: ", "expiring: ", "dns-put: ", "dns-drop: "};
    char lines[64];

    says("it may take", HOOK_DEADLINE_MS / 1000, "seconds");
    says("After", HOOK_CALLS, "calls that were killed");
    says("or", HOOK_CUTS, "that a reload cut");
    says("a dns-drop that fails is tried", DNS_RECORD_TRIES, "times");
    is_int(HOOK_CUTS, DNS_RECORD_CUTS, "the same for records");
    snprintf(lines, sizeof lines, "%d lines of %d bytes go into the log", HOOK_LINES,
             HOOK_LINE);
    ok(strstr(flat(manual), lines) != NULL, "the manual says: %s", lines);
    snprintf(lines, sizeof lines, "%d lines of %d bytes per call", HOOK_LINES, HOOK_LINE);
    ok(strstr(flat(notes), lines) != NULL, "the design notes say: %s", lines);
    is_int(HOOK_ERRORS_MS, 3600 * 1000, "failed: at most once an hour");
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        ok(strstr(flat(manual), events[i]) != NULL, "an event: %s", events[i]);
}

int main(void)
{
    char clean[128];

    if (!mkdtemp(root))
        return 1;
    snprintf(program, sizeof program, "%s/hook", root);
    snprintf(output, sizeof output, "%s/out", root);
    script();
    read_texts();
    test_numbers();
    test_variables();
    snprintf(clean, sizeof clean, "/bin/rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
