#include "acmed/order/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/helper/forkserver.h"
#include "acmed/key/csr.h"
#include "acmed/net/ipc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"

enum { JOB_ROUNDS = 64 }; /* packets of the network helper before others have their turn */

struct job_run {
    int fd;
    enum job_kind kind;
    struct signer *signer;
    char *in, *out; /* IPC_MAX each */
    char **names;
    size_t n_names;
    char *preferred_chain;
    uint64_t due_ms;
    int rounds;     /* packets since the caller was told that there are none */
    bool over;      /* no more messages */
    bool awaiting;  /* waits for job_reply() */
    bool publishes; /* and the event was JOB_DNS_PUT */
    struct job_event event;
    char account_url[JOB_URL_SIZE], order_url[JOB_URL_SIZE];
    char name[256], target[256], value[SIGNER_DNS_VALUE_SIZE], explanation[JOB_URL_SIZE];
};

int job_open(void)
{
    return forkserver_open();
}

/* ---- start */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* The names are needed longer than the caller's job lives. */
static bool copy_names(struct job_run *run, const struct job *job)
{
    run->names = calloc(job->n_names + 1, sizeof *run->names);
    for (size_t i = 0; run->names && i < job->n_names; i++, run->n_names++)
        if (!(run->names[i] = strdup(job->names[i])))
            return false;
    run->preferred_chain = strdup(or_empty(job->preferred_chain));
    return run->names && run->preferred_chain;
}

/* One name per line, on the heap. */
static char *join_names(const struct job_run *run)
{
    char *text = strdup(""), *longer;

    for (size_t i = 0; text && i < run->n_names; i++) {
        if (asprintf(&longer, "%s%s%s", text, i ? "\n" : "", run->names[i]) < 0)
            longer = NULL;
        free(text);
        text = longer;
    }
    return text;
}

static bool say_begin(struct job_run *run, const struct job *job)
{
    char *names = join_names(run), *certificate = NULL;
    char marker[SIGNER_MARKER_SIZE] = "", marker_text[SIGNER_MARKER_SIZE] = "";
    uint64_t challenges = 0;
    bool sent = false;

    if (job->kind == JOB_PREFLIGHT && !signer_mark(run->signer, marker, marker_text))
        marker[0] = '\0'; /* the preflight then does without a marker */

    for (int i = JOB_CHALLENGES - 1; i >= 0; i--)
        if (job->challenges[i])
            challenges = challenges << 4 | (uint64_t)job->challenges[i];
    if (job->kind == JOB_REVOKE && !(certificate = csr_leaf_der(job->certificate))) {
        free(names);
        errno = EINVAL;
        return false;
    }
    struct ipc_message begin = {
        .type = IPC_BEGIN,
        .begin = {.kind = job->kind,
                  .challenges = challenges,
                  .flags = (job->agree_tos ? IPC_AGREE_TOS : 0) |
                           (job->profile_required ? IPC_PROFILE_REQUIRED : 0) |
                           (job->account_must_exist ? IPC_MUST_EXIST : 0),
                  .reason = job->reason,
                  .deadline_ms = run->due_ms,
                  .directory = str_from(job->directory),
                  .ca_file = str_from(job->ca_file),
                  .contact = str_from(job->contact),
                  .account_url = str_from(job->account_url),
                  .eab_kid = str_from(job->eab_kid),
                  .names = str_from(names),
                  .profile = str_from(job->profile),
                  .replaces = str_from(job->replaces),
                  .order_url = str_from(job->order_url),
                  .renewal_id = str_from(job->renewal_id),
                  .certificate = str_from(certificate),
                  .http_port = job->http_port,
                  .dns_wait_ms = job->dns_wait_ms,
                  .resolver = str_from(job->resolver),
                  .marker = str_from(marker),
                  .marker_text = str_from(marker_text)}};

    sent =
        names && signer_bind(run->signer, &begin.begin) && ipc_send(run->fd, &begin, run->out);
    free(names);
    free(certificate);
    return sent;
}

static bool is_sane(const struct job *job)
{
    return job->kind >= 1 && job->kind < JOB_KINDS && ipc_is_url(str_from(job->directory)) &&
           job->n_names <= JOB_NAMES_MAX &&
           ((job->kind != JOB_ISSUE && job->kind != JOB_PREFLIGHT) ||
            (job->n_names > 0 && job->challenges[0]));
}

struct job_run *job_start(int forkserver, const struct job *job, const struct signer_keys *keys,
                          struct table *table)
{
    struct job_run *run;
    int error;

    if (!is_sane(job)) {
        errno = EINVAL;
        return NULL;
    }
    run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->fd = -1;
    run->kind = job->kind;
    run->due_ms = clock_mono_ms() + (job->deadline_ms ? job->deadline_ms : JOB_DEADLINE_MS);
    run->in = malloc(IPC_MAX);
    run->out = malloc(IPC_MAX);
    str_copy(run->account_url, sizeof run->account_url, str_from(job->account_url));
    str_copy(run->order_url, sizeof run->order_url, str_from(job->order_url));
    if (run->in && run->out && copy_names(run, job) &&
        (run->signer = signer_new(keys, (const char *const *)run->names, run->n_names,
                                  run->preferred_chain, table)) &&
        (run->fd = forkserver_spawn(forkserver)) >= 0 && say_begin(run, job))
        return run;
    error = errno;
    job_end(run);
    errno = error;
    return NULL;
}

void job_end(struct job_run *run)
{
    if (!run)
        return;
    fd_close(&run->fd);
    signer_free(run->signer);
    for (size_t i = 0; i < run->n_names; i++)
        free(run->names[i]);
    free(run->names);
    free(run->preferred_chain);
    free(run->in);
    free(run->out);
    free(run);
}

int job_fd(const struct job_run *run)
{
    return run->fd;
}

uint64_t job_due_ms(const struct job_run *run)
{
    return run->over ? UINT64_MAX : run->due_ms;
}

/* ---- events */

static void make_event(struct job_run *run, enum job_event_type type)
{
    run->event.type = type;
    run->event.account_url = run->account_url;
    run->event.order_url = run->order_url;
    run->event.name = run->name;
    run->event.target = run->target;
    run->event.value = run->value;
    run->event.explanation = run->explanation;
}

static void fail_run(struct job_run *run, const char *type, const char *detail)
{
    struct job_problem *p = &run->event.problem;

    make_event(run, JOB_FAILED);
    *p = (struct job_problem){0};
    snprintf(p->type, sizeof p->type, "%s", type);
    snprintf(p->detail, sizeof p->detail, "%s", detail);
    run->over = true;
    fd_close(&run->fd);
}

static void take_progress(struct job_run *run, const struct ipc_progress *q)
{
    str_copy(run->account_url, sizeof run->account_url, q->account_url);
    str_copy(run->order_url, sizeof run->order_url, q->order_url);
    run->event.state = (enum job_state)q->state;
    run->event.clock_off_ms = (int64_t)q->clock_off_ms;
    run->awaiting = true;
    make_event(run, JOB_PROGRESS);
}

static void take_done(struct job_run *run, const struct ipc_done *q)
{
    struct job_event *e = &run->event;

    e->chain = signer_chain(run->signer);
    if (run->kind == JOB_ISSUE && e->chain.n == 0) {
        fail_run(run, "net.broken", "the network helper finished without a chain");
        return;
    }
    e->challenge = (enum job_challenge)q->challenge;
    e->info = q->info; /* run->in is not reused after this */
    e->window_start_wall_ms = q->window_start_wall_ms;
    e->window_end_wall_ms = q->window_end_wall_ms;
    e->retry_after_s = (uint32_t)q->retry_after_s;
    e->clock_off_ms = (int64_t)q->clock_off_ms;
    str_copy(run->explanation, sizeof run->explanation, q->explanation);
    make_event(run, JOB_DONE);
    run->over = true;
}

static void take_failed(struct job_run *run, const struct ipc_failed *q)
{
    struct job_problem *p = &run->event.problem;

    fail_run(run, "", "");
    run->event.clock_off_ms = (int64_t)q->clock_off_ms;
    str_copy(p->type, sizeof p->type, q->type);
    str_copy(p->detail, sizeof p->detail, q->detail);
    str_copy(p->name, sizeof p->name, q->name);
    p->status = (uint32_t)q->status;
    p->retry_after_s = (uint32_t)q->retry_after_s;
    p->challenge = (enum job_challenge)q->challenge;
    p->order_gone = q->flags & IPC_ORDER_GONE;
    p->account_gone = q->flags & IPC_ACCOUNT_GONE;
    p->account_closed = q->flags & IPC_ACCOUNT_CLOSED;
}

static bool reply(struct job_run *run, const struct ipc_message *with)
{
    if (ipc_send(run->fd, with, run->out))
        return true;
    fail_run(run, "net.broken", "the network helper does not respond");
    return false;
}

/* dns-01 records are published by the operator's hook. true: an event. */
static bool take_dns(struct job_run *run, const struct ipc_message *q)
{
    const struct ipc_message no = {.type = IPC_REPLY};
    bool ours =
        q->challenge.target.n > 0 && signer_dns_value(run->signer, &q->challenge, run->value);

    str_copy(run->name, sizeof run->name, q->challenge.name);
    str_copy(run->target, sizeof run->target, q->challenge.target);
    if (ours && q->type == IPC_PUT) {
        run->awaiting = run->publishes = true;
        make_event(run, JOB_DNS_PUT);
        return true;
    }
    if (ours) {
        make_event(run, JOB_DNS_DROP);
        return true;
    }
    return q->type == IPC_PUT && !reply(run, &no);
}

/* Handles one packet. true: it produced an event. */
static bool job_take(struct job_run *run, const struct ipc_message *q)
{
    bool challenge = q->type == IPC_PUT || q->type == IPC_DROP;
    struct ipc_message send_reply;

    if (challenge && q->challenge.kind == JOB_DNS_01)
        return take_dns(run, q);
    switch (q->type) {
    case IPC_PROGRESS:
        take_progress(run, &q->progress);
        return true;
    case IPC_DONE:
        take_done(run, &q->done);
        return true;
    case IPC_FAILED:
        take_failed(run, &q->failed);
        return true;
    default:
        if (!signer_serve(run->signer, q, &send_reply)) {
            fail_run(run, "net.broken", "the network helper asked for what it must not have");
            return true;
        }
        return q->type != IPC_DROP && !reply(run, &send_reply);
    }
}

/* A helper that sends without end, with or without events, does not keep acmed from the other
 * certificates: what is left wakes acmed again. */
static void next_event(struct job_run *run)
{
    struct ipc_message question;

    while (run->rounds++ < JOB_ROUNDS) {
        int got = ipc_recv(run->fd, &question, run->in);

        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            fail_run(run, "net.broken",
                     got == 0 ? "the network helper exited"
                              : "the network helper sent a malformed message");
            return;
        }
        if (run->awaiting) { /* it must wait for the reply first */
            fail_run(run, "net.broken", "the network helper did not wait");
            return;
        }
        if (job_take(run, &question))
            return;
    }
}

void job_serve(struct job_run *run, struct job_event *event)
{
    run->event.type = JOB_NOTHING;
    if (!run->over) {
        next_event(run);
        if (run->event.type == JOB_NOTHING && clock_mono_ms() >= run->due_ms)
            fail_run(run, "net.deadline", "it took too long");
    }
    if (run->event.type == JOB_NOTHING)
        run->rounds = 0;
    *event = run->event;
}

void job_reply(struct job_run *run, bool go_on)
{
    struct ipc_message send_reply = {.type = IPC_REPLY, .reply = {.number = go_on}};

    if (run->over)
        return;
    CHECK(run->awaiting);
    if (run->publishes && go_on)
        send_reply.reply.bytes = str_from(run->value); /* so that it can be looked for */
    run->awaiting = run->publishes = false;
    ipc_send(run->fd, &send_reply, run->out); /* a failure is reported by job_serve() */
}
