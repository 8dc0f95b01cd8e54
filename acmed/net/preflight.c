#include "acmed/net/preflight.h"

#include <stdio.h>
#include <string.h>

#include "acmed/order/clock_note.h"

/* Keeps a line if there is space; `urgent` ones come first. */
static void preflight_note(struct preflight *p, struct str text, bool urgent)
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
        str_fit(p->note[n], TABLE_NOTE, text);
}

static bool preflight_is_plain(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] > 0x7e)
            return false;
    return text.n > 0;
}

static void preflight_take(struct preflight *p, char what, struct str text)
{
    switch (what) {
    case PREFLIGHT_SEEN:
        p->seen++;
        break;
    case PREFLIGHT_MISSED:
        p->missed++;
        preflight_note(p, text, false);
        break;
    case PREFLIGHT_UNSURE:
        p->unsure++;
        preflight_note(p, text, false);
        break;
    case PREFLIGHT_FORBIDDEN:
        p->forbidden++;
        preflight_note(p, text, true);
        break;
    default:
        break;
    }
}

static void preflight_look_at_clock(struct preflight *p, int64_t off)
{
    const struct clock_facts facts = {.now_wall_ms = UINT64_MAX / 2, .off_ms = off};
    char text[TABLE_NOTE];

    p->clock_behind = off > PREFLIGHT_BEHIND_MS;
    p->clock = *clock_note(text, &facts) != '\0';
    if (p->clock)
        preflight_note(p, str_from(text), true);
}

void preflight_read(struct preflight *p, struct str findings, int64_t clock_off_ms)
{
    *p = (struct preflight){0};
    while (findings.n) {
        size_t end = str_index(findings, '\n');
        struct str line = str_head(findings, end);

        findings = str_skip(findings, end < findings.n ? end + 1 : end);
        if (line.n > 2 && line.p[1] == ' ' && preflight_is_plain(str_skip(line, 2)))
            preflight_take(p, line.p[0], str_skip(line, 2));
    }
    preflight_look_at_clock(p, clock_off_ms);
}

enum preflight_verdict preflight_judge(const struct preflight *p, struct fallback *fallback,
                                       const struct order_options *options, enum fallback_ca ca,
                                       uint32_t failures)
{
    enum job_challenge kinds[JOB_CHALLENGES];
    bool doubt;

    if (p->forbidden)
        return PREFLIGHT_HOLD;
    if (failures == 0 && fallback->kind_worked != JOB_HTTP_01)
        fallback->doubted = p->missed && !p->seen ? JOB_HTTP_01 : 0;
    if (ca == FALLBACK_STAGING) /* a staging dry run may fail */
        return PREFLIGHT_GO;
    fallback_kinds(fallback, options, kinds);
    doubt = p->missed && kinds[0] == JOB_HTTP_01 && !fallback->dry_run_passed;
    if (doubt && ca == FALLBACK_FIRST && options->staging && !options->urgent) {
        fallback->dry_run_first = 1;
        return PREFLIGHT_DRY_RUN;
    }
    if (p->clock_behind && failures > 0 && !fallback->held) {
        fallback->held = 1;
        return PREFLIGHT_HOLD;
    }
    fallback->held = 0;
    return PREFLIGHT_GO;
}
