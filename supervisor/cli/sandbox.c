/* `pasgate status --sandbox`: what each process of the service may do. The kernel's word comes
 * from /proc, that of the process from the part of the table that only this process writes. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/status/status.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/text_table.h"

enum {
    FACT = 32,      /* bytes of one fact with its NUL */
    FACTS_MAX = 128 /* processes that are shown */
};

/* Of /proc/PID/status, as the kernel writes it; "?" where it does not say. */
struct facts {
    char name[FACT], uid[FACT], seccomp[FACT], filters[FACT], privileges[FACT];
    char effective[FACT], permitted[FACT];
    int parent;
};

static void take_fact(const char *line, const char *key, char to[FACT])
{
    size_t n = strlen(key);

    if (strncmp(line, key, n) != 0 || line[n] != ':')
        return;
    line += n + 1;
    line += strspn(line, " \t");
    snprintf(to, FACT, "%.*s", (int)strcspn(line, " \t\n"), line);
}

static bool facts_read(int pid, struct facts *to)
{
    char path[64], line[256], parent[FACT] = "0";
    FILE *in;

    *to = (struct facts){"?", "?", "?", "?", "?", "?", "?", 0};
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    in = fopen(path, "re");
    if (!in)
        return false;
    while (fgets(line, sizeof line, in)) {
        take_fact(line, "Name", to->name);
        take_fact(line, "PPid", parent);
        take_fact(line, "Uid", to->uid);
        take_fact(line, "Seccomp", to->seccomp);
        take_fact(line, "Seccomp_filters", to->filters);
        take_fact(line, "NoNewPrivs", to->privileges);
        take_fact(line, "CapEff", to->effective);
        take_fact(line, "CapPrm", to->permitted);
    }
    fclose(in);
    to->parent = atoi(parent);
    return true;
}

/* 0: no capability. Else the kernel's mask without leading zeroes. */
static const char *mask(const char *text)
{
    text += strspn(text, "0");
    return *text ? text : "none";
}

static void fact_cells(struct text_table *text, const char *name, int pid,
                       const struct facts *facts, const char *report)
{
    static const char *const modes[] = {"none", "strict", "filter"};
    unsigned mode = (unsigned)(*facts->seccomp - '0');

    text_table_row(text);
    text_table_cell(text, NULL, "%s", name);
    text_table_cell(text, NULL, "%d", pid);
    text_table_cell(text, NULL, "%s", facts->uid);
    text_table_cell(text, NULL, "%s", mode < 3 ? modes[mode] : "?");
    text_table_cell(text, NULL, "%s", facts->filters);
    text_table_cell(text, NULL, "%s", *facts->privileges == '1' ? "yes" : "no");
    text_table_cell(text, NULL, "%s", mask(facts->effective));
    text_table_cell(text, NULL, "%s", mask(facts->permitted));
    text_table_cell(text, NULL, "%s", report);
}

/* What the process itself says that it gave up. */
static const char *report_of(const struct table *table, int row, const struct child_row *c,
                             char out[TEXT_TABLE_CELL])
{
    static const char *const words[] = {"calls", "files", "ports", "scope", "table", "fresh"};
    unsigned bits = 0;
    size_t n = 0;

    if (c->kind == KIND_WORKER && row < TABLE_WORKERS && worker_row_live(table, row))
        bits = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->worker[row].sandbox);
    else if (c->kind == KIND_HEALTHD)
        bits = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->healthd_sandbox);
    else if (c->kind == KIND_ACMED)
        bits = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->acmed_sandbox);
    snprintf(out, TEXT_TABLE_CELL, "-");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bits & 1U << i)
            n += (size_t)snprintf(out + n, TEXT_TABLE_CELL - n, "%s%s", n ? " " : "", words[i]);
    return out;
}

/* Processes that a child has forked: acmed's helpers, a restart command. */
static void descendant_cells(struct text_table *text, int parent)
{
    DIR *dir = opendir("/proc");
    struct facts facts;

    for (const struct dirent *e; dir && text->nrows < FACTS_MAX && (e = readdir(dir));) {
        int pid = isdigit((unsigned char)*e->d_name) ? atoi(e->d_name) : 0;

        if (pid && facts_read(pid, &facts) && facts.parent == parent)
            fact_cells(text, facts.name, pid, &facts, "-");
    }
    if (dir)
        closedir(dir);
}

bool cli_sandbox(const struct service *service)
{
    static const struct text_table_column columns[] = {
        {"PROCESS", TEXT_TABLE_LEFT},    {"PID", TEXT_TABLE_RIGHT},
        {"UID", TEXT_TABLE_RIGHT},       {"SECCOMP", TEXT_TABLE_LEFT},
        {"FILTERS", TEXT_TABLE_RIGHT},   {"NO NEW PRIVS", TEXT_TABLE_LEFT},
        {"EFFECTIVE", TEXT_TABLE_RIGHT}, {"PERMITTED", TEXT_TABLE_RIGHT},
        {"IT REPORTS", TEXT_TABLE_LEFT},
    };
    struct text_table text = text_table_new(columns, sizeof columns / sizeof *columns);
    char report[TEXT_TABLE_CELL], name[FACT];
    struct child_row c;
    struct facts facts;

    if (facts_read(service->pid, &facts))
        fact_cells(&text, "supervisor", service->pid, &facts, "-");
    for (int r = 0; r < TABLE_CHILDREN; r++) {
        if (!status_child_read(service->table, r, &c) || !c.pid || !facts_read(c.pid, &facts))
            continue;
        snprintf(name, sizeof name, c.kind == KIND_WORKER ? "%s %d" : "%s", kind_name(c.kind),
                 c.slot);
        fact_cells(&text, name, c.pid, &facts, report_of(service->table, r, &c, report));
        descendant_cells(&text, c.pid);
    }
    text_table_print(&text, stdout, isatty(STDOUT_FILENO));
    text_table_release(&text);
    return true;
}
