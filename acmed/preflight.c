#include "acmed/preflight.h"

#include <stdio.h>
#include <string.h>

/* Keeps a line if there is room; what is `urgent` comes first. */
static void note(struct preflight *p, struct str text, bool urgent)
{
    size_t n = 0;

    while (n < TABLE_NOTES && p->note[n][0])
        n++;
    if (urgent) {
        if (n == TABLE_NOTES)
            n--;
        memmove(p->note[1], p->note[0], n * sizeof *p->note);
        n = 0;
    }
    if (n < TABLE_NOTES)
        str_copy(p->note[n], TABLE_REASON, text);
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] > 0x7e)
            return false;
    return text.n > 0;
}

static void take(struct preflight *p, char what, struct str text)
{
    switch (what) {
    case PREFLIGHT_SEEN:
        p->seen++;
        break;
    case PREFLIGHT_MISSED:
        p->missed++;
        note(p, text, false);
        break;
    case PREFLIGHT_UNSURE:
        p->unsure++;
        note(p, text, false);
        break;
    case PREFLIGHT_FORBIDDEN:
        p->forbidden++;
        note(p, text, true);
        break;
    default:
        break;
    }
}

static void look_at_clock(struct preflight *p, int64_t off)
{
    char text[TABLE_REASON];

    if (off <= PREFLIGHT_CLOCK_MS && off >= -PREFLIGHT_CLOCK_MS)
        return;
    p->clock_behind = off > PREFLIGHT_BEHIND_MS;
    snprintf(text, sizeof text, "the clock here is %lld s %s that of the CA; set it right",
             (long long)((off < 0 ? -off : off) / 1000), off < 0 ? "ahead of" : "behind");
    note(p, str_from(text), true);
}

void preflight_read(struct preflight *p, struct str findings, int64_t clock_off_ms)
{
    *p = (struct preflight){0};
    while (findings.n) {
        size_t end = str_index(findings, '\n');
        struct str line = str_head(findings, end);

        findings = str_skip(findings, end < findings.n ? end + 1 : end);
        if (line.n > 2 && line.p[1] == ' ' && is_plain(str_skip(line, 2)))
            take(p, line.p[0], str_skip(line, 2));
    }
    look_at_clock(p, clock_off_ms);
}

enum preflight_verdict preflight_judge(const struct preflight *p, struct ladder *l,
                                       const struct ladder_ways *ways, enum ladder_ca ca,
                                       uint32_t failures)
{
    enum job_challenge kinds[JOB_CHALLENGES];
    bool doubt;

    if (p->forbidden)
        return PREFLIGHT_HOLD;
    if (failures == 0 && l->kind_worked != JOB_HTTP_01)
        l->doubted = p->missed && !p->seen ? JOB_HTTP_01 : 0;
    if (ca == LADDER_STAGING) /* a rehearsal may fail */
        return PREFLIGHT_GO;
    ladder_kinds(l, ways, kinds);
    doubt = p->missed && kinds[0] == JOB_HTTP_01 && !l->rehearsed;
    if (doubt && ca == LADDER_FIRST && ways->staging) {
        l->rehearse = 1;
        return PREFLIGHT_REHEARSE;
    }
    if (p->clock_behind && failures > 0 && !l->held) {
        l->held = 1;
        return PREFLIGHT_HOLD;
    }
    l->held = 0;
    return PREFLIGHT_GO;
}
