#include "acmed/cert/row.h"

#include <stdio.h>
#include <string.h>

#include "acmed/cert/reply.h"
#include "acmed/cert/revoked.h"
#include "acmed/order/clock_note.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

void row_publish(struct certificate *k)
{
    struct table *table = k->heritage->table;

    reply_settle(&k->row, k->queued || account_op_runs(&k->op), k->next.proof.candidate != 0);
    cert_publish(&table->cert[k->conf->index], &k->row);
    atomic_fetch_add(&table->cert_epoch, 1); /* we are the only writer */
}

static bool row_shows(const struct certificate *k, const char *error)
{
    return strncmp(k->row.error, error, sizeof k->row.error) == 0;
}

/* While the store cannot be used, that comes first, and the certificate's own error is a
 * note. */
static void show_errors(struct certificate *k)
{
    const char *error = *k->store_error ? k->store_error : k->own_error;

    if (!row_shows(k, error))
        snprintf(k->row.error, sizeof k->row.error, "%s", error);
    row_show_notes(k);
    row_publish(k);
}

void row_complain(struct certificate *k, const char *error)
{
    bool known = strcmp(k->own_error, error) == 0;

    if (known && (*k->store_error || row_shows(k, error)))
        return;
    /* Not again what the order driver or acmed.c has logged already. */
    if (!known && *error && !row_shows(k, error))
        log_warn("certificate %s: %s", k->conf->name, error);
    snprintf(k->own_error, sizeof k->own_error, "%s", error);
    show_errors(k);
}

void row_store_error(struct certificate *k, const char *error)
{
    if (strcmp(k->store_error, error) == 0)
        return;
    if (!*error && strcmp(k->own_error, k->store_error) == 0)
        k->own_error[0] = '\0'; /* from a write that failed for the same reason */
    snprintf(k->store_error, sizeof k->store_error, "%s", error);
    show_errors(k);
}

struct issue_live row_live(const struct certificate *k)
{
    struct issue_live live = {
        .plan = {.generation = k->row.generation,
                 .from_ca = k->row.source == CERT_ACME,
                 .covers = k->covers && !k->row.revoked_wall_ms && !k->lost,
                 .can_ask = k->ari_id[0] != '\0',
                 .life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms}}};

    memcpy(live.ari_id, k->ari_id, sizeof live.ari_id);
    return live;
}

/* ---- notes */

/* Adds a note; when all slots are used, it replaces the last one. */
static void add_note(struct cert_row *row, const char *text)
{
    int at = 0;

    if (!text[0])
        return;
    while (at + 1 < TABLE_NOTES && row->note[at][0])
        at++;
    str_fit(row->note[at], sizeof row->note[at], str_from(text));
}

/* false: unchanged. The log need not repeat it for each of a thousand certificates. */
static bool row_look_at_clock(struct certificate *k)
{
    static struct log_gate gate;
    const struct ca_set *ca_set = k->issue.ca_set;
    const struct clock_facts facts = {.now_wall_ms = clock_wall_ms(),
                                      .off_ms = ca_set ? clock_heard_off(&ca_set->clock) : 0,
                                      .not_before_wall_ms = k->row.not_before_wall_ms,
                                      .files = k->row.source == CERT_FILE};
    char text[TABLE_NOTE];

    if (strcmp(clock_note(text, &facts), k->clock) == 0)
        return false;
    if (!*k->clock && log_gate_open(&gate))
        log_warn("certificate %s: %s", k->conf->name, text);
    memset(k->clock, 0, sizeof k->clock);
    memcpy(k->clock, text, strlen(text));
    return true;
}

/* Not logged here: that is done once for the whole set. */
static bool row_look_at_account(struct certificate *k)
{
    char text[TABLE_NOTE] = {0};

    if (k->issue.ca_set)
        str_fit(text, sizeof text, str_from(k->issue.ca_set->unusable));
    if (strcmp(text, k->account) == 0)
        return false;
    memcpy(k->account, text, sizeof text);
    return true;
}

void row_look_at_common(struct certificate *k)
{
    bool clock = row_look_at_clock(k), account = row_look_at_account(k);

    if (!clock && !account)
        return;
    row_show_notes(k);
    row_publish(k);
}

/* A past failure: the certificate is good and not due. Its date is shown, because the cause may
 * have been fixed long ago. */
static void note_past(struct certificate *k)
{
    const struct cert_state *s = &k->issue.state;
    char day[CLOCK_ISO_SIZE] = "", note[TABLE_NOTE];

    if (s->failed_at)
        clock_iso(day, s->failed_at);
    snprintf(note, sizeof note, "nothing is due; the last try%s%.10s%s failed: %.380s",
             *day ? " (" : "", day, *day ? ")" : "", s->problem);
    add_note(&k->row, note);
}

void row_store_unusable(struct certificate *k, const char *why)
{
    static struct log_gate gate, again;

    if (strcmp(k->unusable, why) == 0)
        return;
    if (*why && log_gate_open(&gate))
        log_error("certificate %s: %s", k->conf->name, why);
    if (!*why && log_gate_open(&again))
        log_info("certificate %s: the store can be used again", k->conf->name);
    memset(k->unusable, 0, sizeof k->unusable);
    memcpy(k->unusable, why, strlen(why));
    row_show_notes(k);
    row_publish(k);
}

void row_show_notes(struct certificate *k)
{
    const struct issue_live live = row_live(k);

    row_look_at_clock(k);
    row_look_at_account(k);
    memset(k->row.note, 0, sizeof k->row.note);
    k->row.trouble = *k->unusable  ? CERT_STORE
                     : *k->clock   ? CERT_CLOCK
                     : *k->account ? CERT_ACCOUNT
                                   : CERT_HINT;
    if (*k->store_error && strcmp(k->own_error, k->store_error) != 0)
        add_note(&k->row, k->own_error);
    if (!row_shows(k, k->unusable))
        add_note(&k->row, k->unusable);
    add_note(&k->row, k->clock);
    add_note(&k->row, k->account);
    if (k->issue.ca_set)
        add_note(&k->row, revoked_note());
    for (int i = 0; i < TABLE_NOTES; i++)
        add_note(&k->row, k->issue.note[i]);
    if (plan_is_past(&k->issue.state, &live.plan, clock_wall_ms()))
        note_past(k);
    add_note(&k->row, k->not_ordered ? k->not_ordered : "");
    add_note(&k->row, k->incomplete);
    add_note(&k->row, k->hook_missing[0] ? k->hook_missing : k->hook_failed);
}
