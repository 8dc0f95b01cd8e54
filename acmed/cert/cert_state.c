#include "acmed/cert/cert_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/order/kvfile.h"

static const char file_name[] = "state";

/* A number of at most 32 bits. */
static bool read_u32(struct str value, uint32_t *out)
{
    uint64_t number;

    if (!kvfile_number(value, &number) || number > UINT32_MAX)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool cert_state_read_line(struct cert_state *s, struct str key, struct str value)
{
    const struct {
        struct str key;
        uint64_t *u64;
        uint32_t *u32;
    } fields[] = {
        {STR_INIT("failures"), NULL, &s->failures},
        {STR_INIT("next_try"), &s->next_try, NULL},
        {STR_INIT("generation"), NULL, &s->generation},
        {STR_INIT("ari_start"), &s->ari.start, NULL},
        {STR_INIT("ari_end"), &s->ari.end, NULL},
        {STR_INIT("renew_at"), &s->renew_at, NULL},
        {STR_INIT("ask_at"), &s->ask_at, NULL},
        {STR_INIT("ask_failures"), NULL, &s->ask_failures},
        {STR_INIT("hook_at"), &s->hook_at, NULL},
        {STR_INIT("issued_by"), &s->issued_by, NULL},
        {STR_INIT("issued_at"), &s->issued_at, NULL},
        {STR_INIT("held_by_clock"), NULL, &s->held_by_clock},
        {STR_INIT("wanted"), NULL, &s->wanted},
        {STR_INIT("failed_at"), &s->failed_at, NULL},
        {STR_INIT("rehearse"), NULL, &s->fallback.dry_run_first},
        {STR_INIT("rehearsed"), NULL, &s->fallback.dry_run_passed},
        {STR_INIT("ca_failures"), NULL, &s->fallback.ca_failures},
        {STR_INIT("asked"), NULL, &s->fallback.asked},
        {STR_INIT("kind_worked"), NULL, &s->fallback.kind_worked},
        {STR_INIT("kinds_failed"), NULL, &s->fallback.kinds_failed},
        {STR_INIT("doubted"), NULL, &s->fallback.doubted},
        {STR_INIT("held"), NULL, &s->fallback.held},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (str_eq(key, fields[i].key))
            return fields[i].u64 ? kvfile_number(value, fields[i].u64)
                                 : read_u32(value, fields[i].u32);
    return str_eq(key, STR("problem")) && kvfile_text(value, s->problem, sizeof s->problem);
}

int cert_state_load(int dir, struct cert_state *state)
{
    size_t n = 0;
    char *text = kvfile_read(dir, file_name, KVFILE_TEXT_MAX, &n);
    struct str rest = str_make(text, n), key, value;
    int got = text || errno == ENOENT ? 0 : -1;

    *state = (struct cert_state){0};
    while (text && (got = kvfile_line(&rest, &key, &value)) > 0)
        if (!cert_state_read_line(state, key, value)) {
            got = -1;
            break;
        }
    if (got < 0)
        *state = (struct cert_state){0};
    got = got < 0 ? -1 : text != NULL;
    free(text);
    return got;
}

int cert_state_save(int dir, const struct cert_state *s)
{
    const struct fallback *l = &s->fallback;
    char text[2048 + TABLE_ERROR], problem[sizeof s->problem];
    int n;

    snprintf(problem, sizeof problem, "%s", s->problem);
    for (char *p = problem; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    n = snprintf(text, sizeof text,
                 "failures=%u\nnext_try=%llu\ngeneration=%u\nari_start=%llu\nari_end=%llu\n"
                 "renew_at=%llu\nask_at=%llu\nask_failures=%u\nhook_at=%llu\nissued_by=%llu\n"
                 "issued_at=%llu\nheld_by_clock=%u\nwanted=%u\nfailed_at=%llu\n"
                 "rehearse=%u\nrehearsed=%u\nca_failures=%u\nasked=%u\nkind_worked=%u\n"
                 "kinds_failed=%u\ndoubted=%u\nheld=%u\nproblem=%s\n",
                 s->failures, (unsigned long long)s->next_try, s->generation,
                 (unsigned long long)s->ari.start, (unsigned long long)s->ari.end,
                 (unsigned long long)s->renew_at, (unsigned long long)s->ask_at,
                 s->ask_failures, (unsigned long long)s->hook_at,
                 (unsigned long long)s->issued_by, (unsigned long long)s->issued_at,
                 s->held_by_clock, s->wanted, (unsigned long long)s->failed_at,
                 l->dry_run_first, l->dry_run_passed, l->ca_failures, l->asked, l->kind_worked,
                 l->kinds_failed, l->doubted, l->held, problem);
    return kvfile_write(dir, file_name, text, (size_t)n);
}
