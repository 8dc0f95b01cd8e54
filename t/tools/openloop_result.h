/* What openloop counts, and how it prints that. */
#ifndef T_TOOLS_OPENLOOP_RESULT_H
#define T_TOOLS_OPENLOOP_RESULT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "t/tools/histogram.h"

enum {
    RESULT_ERRORS = 16,
    RESULT_INSTANCES = 64,
    RESULT_FIRST_ERRORS = 10,
    RESULT_FIRST_SLOW = 24,
    RESULT_STATUSES = 600,
};

struct tally {
    char name[48];
    uint64_t n;
};

struct result { /* zeroed: nothing counted yet */
    uint64_t requests, ok, failed, resent, slow, connections;
    uint64_t statuses[RESULT_STATUSES];
    struct histogram latencies; /* of what succeeded, in microseconds */
    struct tally errors[RESULT_ERRORS], instances[RESULT_INSTANCES];
    char first_errors[RESULT_FIRST_ERRORS][160];
    char first_slow[RESULT_FIRST_SLOW][64];
    unsigned n_errors;
};

/* Names beyond the size of the list are not counted. */
static inline void result_count(struct tally *t, size_t size, const char *name, size_t n)
{
    if (n >= sizeof t->name)
        n = sizeof t->name - 1;
    for (size_t i = 0; i < size; i++) {
        if (!t[i].n) {
            memcpy(t[i].name, name, n);
            t[i].name[n] = 0;
        }
        if (strncmp(t[i].name, name, n) == 0 && t[i].name[n] == 0) {
            t[i].n++;
            return;
        }
    }
}

static inline double result_ms(const struct result *r, double p)
{
    return (double)histogram_percentile(&r->latencies, p) / 1000;
}

static inline void result_print_tallies(FILE *f, const char *name, const struct tally *t,
                                        size_t size)
{
    fprintf(f, ",\"%s\":{", name);
    for (size_t i = 0; i < size && t[i].n; i++)
        fprintf(f, "%s\"%s\":%llu", i ? "," : "", t[i].name, (unsigned long long)t[i].n);
    fputs("}", f);
}

static inline void result_print(const struct result *r, FILE *f)
{
    fprintf(f,
            "{\"requests\":%llu,\"ok\":%llu,\"failed\":%llu,\"slow\":%llu,\"resent\":%llu,"
            "\"connections\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f",
            (unsigned long long)r->requests, (unsigned long long)r->ok,
            (unsigned long long)r->failed, (unsigned long long)r->slow,
            (unsigned long long)r->resent, (unsigned long long)r->connections,
            result_ms(r, 0.5), result_ms(r, 0.99), (double)r->latencies.max / 1000);
    const char *sep = "";
    fputs(",\"statuses\":{", f);
    for (int i = 0; i < RESULT_STATUSES; i++) {
        if (r->statuses[i]) {
            fprintf(f, "%s\"%d\":%llu", sep, i, (unsigned long long)r->statuses[i]);
            sep = ",";
        }
    }
    fputs("}", f);
    result_print_tallies(f, "instances", r->instances, RESULT_INSTANCES);
    result_print_tallies(f, "errors", r->errors, RESULT_ERRORS);
    fputs(",\"first_errors\":[", f);
    for (unsigned i = 0; i < r->n_errors; i++)
        fprintf(f, "%s\"%s\"", i ? "," : "", r->first_errors[i]);
    fputs("],\"first_slow\":[", f);
    for (unsigned i = 0; i < r->slow && i < RESULT_FIRST_SLOW; i++)
        fprintf(f, "%s\"%s\"", i ? "," : "", r->first_slow[i]);
    fputs("]}\n", f);
}

#endif
