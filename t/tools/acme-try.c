/* acme-try: runs one job of acmed against a CA, without pasgate; for t/35-acme.t.
 *
 *   acme-try KEY=VALUE...
 *     kind       issue account rollover close revoke ari (issue)
 *     directory  URL               ca_file   PEM roots of the CA's own TLS
 *     account    file of the account's key, created if it does not exist; FILE.url: its URL
 *     next       file of the new account key (rollover)
 *     key        file of the certificate's key, created if it does not exist
 *     order      file of the order's URL: read at the start, updated with the progress
 *     names      a.test,b.test     challenges  http-01,tls-alpn-01,dns-01
 *     chain      file to write the chain to; for revoke: to read it from
 *     contact profile prefer replaces eab_kid eab_hmac renewal_id key_type deadline_ms
 *     tos=0      do not agree      must_exist=1
 *     http       PORT: answers http-01 on 127.0.0.1 from the rows, as a worker does
 *     tls        PORT: the same for tls-alpn-01, with a worker's TLS engine
 *     dns        URL of challtestsrv's management interface
 *     stop_at    account ordered validated finalized: exits 3 there, as if killed
 *
 * Prints a line for each event. Exit code 0: done, 1: failed, 2: usage. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "acmed/cert/selfsigned.h"
#include "acmed/key/csr.h"
#include "acmed/key/jose.h"
#include "acmed/key/secret.h"
#include "acmed/order/job.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "shm/challenges.h"
#include "worker/tls/tls.h"

static int n_args;
static char **args;

static const char *arg(const char *name, const char *otherwise)
{
    size_t n = strlen(name);

    for (int i = 1; i < n_args; i++)
        if (strncmp(args[i], name, n) == 0 && args[i][n] == '=')
            return args[i] + n + 1;
    return otherwise;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "acme-try: %s: %s\n", what, strerror(errno));
    exit(2);
}

static char *slurp(const char *file, size_t *n)
{
    int fd = file[0] ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    char *text = fd < 0 ? NULL : fd_read_all(fd, 1 << 20, n);

    if (fd >= 0)
        close(fd);
    return text;
}

static void spew(const char *file, const char *text, size_t n)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || fd_write_all(fd, text, n) < 0)
        die(file);
    close(fd);
}

/* The key in this file, created if it does not exist. */
static struct str key_of(const char *file, bool account)
{
    size_t n = 0;
    char *pem = slurp(file, &n);

    if (!pem && file[0]) {
        pem =
            account ? jose_key_new(&n) : csr_key_new(csr_key_type(arg("key_type", "p256")), &n);
        spew(file, pem, n);
    }
    return str_make(pem, n);
}

static char *side_file(const char *file, const char *suffix)
{
    static char path[2][512];
    static int at;

    at = !at;
    snprintf(path[at], sizeof path[at], "%s%s", file, suffix);
    return path[at];
}

static char *line_of(const char *file)
{
    size_t n = 0;
    char *text = slurp(file, &n);

    if (text)
        text[strcspn(text, "\n")] = '\0';
    return text ? text : strdup("");
}

/* ---- http-01, answered as a worker does */

static int listen_on(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 16) < 0)
        die("listen");
    return fd;
}

static const char *find(struct table *table, const char *token, struct challenge_row *row)
{
    return challenge_find(table, CHALLENGE_HTTP_01, str_from(token), clock_mono_ms(), row)
               ? row->key_authorization
               : NULL;
}

static void serve_http(struct table *table, int listener)
{
    static const char prefix[] = "GET /.well-known/acme-challenge/";
    int fd = accept(listener, NULL, NULL);
    char in[2048], out[1024];
    ssize_t n = fd < 0 ? -1 : read(fd, in, sizeof in - 1);
    struct challenge_row row;
    const char *body = NULL;

    if (n > 0) {
        in[n] = '\0';
        if (strncmp(in, prefix, sizeof prefix - 1) == 0) {
            char *token = in + sizeof prefix - 1;

            token[strcspn(token, " ")] = '\0';
            body = find(table, token, &row);
        }
        n = snprintf(out, sizeof out,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     body ? "200 OK" : "404 Not Found", body ? strlen(body) : 0,
                     body ? body : "");
        if (write(fd, out, (size_t)n) < 0)
            perror("write");
        printf("http %s\n", body ? "200" : "404");
    }
    if (fd >= 0)
        close(fd);
}

/* ---- tls-alpn-01, likewise */

static struct tls_engine *make_engine(const struct table *table)
{
    static const char *const names[] = {"localhost"};
    static const struct conf_cert certs[] = {
        {.name = "localhost", .names = names, .n_names = 1}};
    static const struct conf conf = {.tls = {.min_version = CONF_TLS_1_2,
                                             .ciphers = "ECDHE+AESGCM",
                                             .ciphersuites = "TLS_AES_128_GCM_SHA256",
                                             .groups = "auto"},
                                     .certs = certs,
                                     .n_certs = 1};
    char error[TLS_ERROR_SIZE], *chain = side_file(arg("key", ""), ".tls"),
                                *key = side_file(arg("key", ""), ".tls-key");
    struct tls_engine *engine = tls_engine_new(&conf, error, sizeof error);
    struct pem_pair pair;

    if (!engine || selfsigned_make(names, 1, clock_wall_ms(), &pair, error) < 0)
        die("TLS");
    spew(chain, pair.chain, pair.n_chain);
    spew(key, pair.key, pair.n_key);
    pem_pair_release(&pair);
    if (tls_engine_load(engine, 0, chain, key, error, sizeof error) < 0)
        die(error);
    tls_engine_challenges(engine, table);
    return engine;
}

static void serve_tls(struct tls_engine *engine, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), done = 0;
    struct tls_conn *conn = fd < 0 ? NULL : tls_conn_new(engine, fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (conn && (done = tls_handshake(conn)) == 0 && poll(&p, 1, 5000) > 0)
        ;
    printf("tls %d\n", done == 1 ? (int)tls_conn_alpn(conn) : -1);
    tls_conn_free(conn);
    if (fd >= 0)
        close(fd);
}

/* ---- dns-01, by challtestsrv */

static bool set_txt(const char *command, const char *name, const char *value)
{
    char line[1024];

    snprintf(line, sizeof line,
             "curl -sf -o /dev/null -d '{\"host\":\"_acme-challenge.%s.\",\"value\":\"%s\"}' "
             "%s/%s",
             name, value, arg("dns", ""), command);
    return arg("dns", "")[0] && system(line) == 0;
}

/* ---- the job */

static enum job_kind kind_of(const char *name)
{
    static const char *const names[] = {"",      "issue",  "account", "rollover",
                                        "close", "revoke", "ari"};

    for (int i = 1; i < JOB_KINDS; i++)
        if (strcmp(names[i], name) == 0)
            return (enum job_kind)i;
    die("kind");
}

static size_t split(const char *list, const char **to, size_t max)
{
    char *copy = strdup(list), *save = NULL;
    size_t n = 0;

    for (char *p = strtok_r(copy, ",", &save); p && n < max; p = strtok_r(NULL, ",", &save))
        to[n++] = p;
    return n;
}

static void take_challenges(struct job *job)
{
    static const char *const kinds[] = {"", "http-01", "tls-alpn-01", "dns-01"};
    static const char *list[JOB_CHALLENGES];
    size_t n = split(arg("challenges", "http-01"), list, JOB_CHALLENGES);

    for (size_t i = 0; i < n; i++)
        for (int k = 1; k < JOB_CHALLENGE_KINDS; k++)
            if (strcmp(kinds[k], list[i]) == 0)
                job->challenges[i] = (enum job_challenge)k;
}

static void on_progress(struct job_run *run, const struct job_event *e)
{
    static const char *const states[] = {"", "account", "ordered", "validated", "finalized"};

    printf("progress %s %s %s\n", states[e->state], e->account_url, e->order_url);
    if (e->account_url[0])
        spew(side_file(arg("account", "account.key"), ".url"), e->account_url,
             strlen(e->account_url));
    if (arg("order", NULL) && e->order_url[0])
        spew(arg("order", ""), e->order_url, strlen(e->order_url));
    if (strcmp(arg("stop_at", ""), states[e->state]) == 0) {
        fflush(stdout);
        _exit(3);
    }
    job_reply(run, strcmp(arg("refuse_at", ""), states[e->state]) != 0);
}

static int on_end(const struct job_event *e)
{
    const struct job_problem *p = &e->problem;

    if (e->type == JOB_FAILED) {
        printf("failed %s|%s|%s|status=%u|retry=%u|order_gone=%d|account_gone=%d\n", p->type,
               p->name, p->detail, p->status, p->retry_after_s, p->order_gone, p->account_gone);
        return 1;
    }
    if (e->chain.n && arg("chain", NULL))
        spew(arg("chain", ""), e->chain.p, e->chain.n);
    printf("done clock_off=%lld window=%llu..%llu retry=%u info=%.*s\n",
           (long long)e->clock_off_ms / 1000, (unsigned long long)e->window_start_wall_ms,
           (unsigned long long)e->window_end_wall_ms, e->retry_after_s, STR_ARG(e->info));
    return 0;
}

static int serve(struct job_run *run, struct table *table, int listener, int tls_listener)
{
    struct tls_engine *engine = tls_listener < 0 ? NULL : make_engine(table);
    struct job_event e;

    for (;;) {
        uint64_t now = clock_mono_ms(), due = job_due_ms(run);
        struct pollfd fds[3] = {{.fd = job_fd(run), .events = POLLIN},
                                {.fd = listener, .events = POLLIN},
                                {.fd = tls_listener, .events = POLLIN}};

        poll(fds, 3, due > now ? (int)(due - now) : 0);
        if (fds[1].revents)
            serve_http(table, listener);
        if (fds[2].revents)
            serve_tls(engine, tls_listener);
        do {
            job_serve(run, &e);
            if (e.type == JOB_PROGRESS)
                on_progress(run, &e);
            else if (e.type == JOB_DNS_PUT)
                job_reply(run, set_txt("set-txt", e.name, e.value));
            else if (e.type == JOB_DNS_DROP)
                set_txt("clear-txt", e.name, "");
            else if (e.type == JOB_DONE || e.type == JOB_FAILED) {
                tls_engine_free(engine);
                return on_end(&e);
            }
        } while (e.type != JOB_NOTHING);
    }
}

int main(int argc, char **argv)
{
    static struct table table;
    static const char *names[JOB_NAMES_MAX]; /* static, so that it is not reported as a leak */
    static struct signer_keys keys;
    static struct job job;
    const char *account;
    int forkserver = job_open(), listener = -1, tls_listener = -1, code;
    struct job_run *run;

    secret_init(SECRET_HEAP);
    n_args = argc;
    args = argv;
    account = arg("account", "account.key");
    setvbuf(stdout, NULL, _IOLBF, 0);
    job.kind = kind_of(arg("kind", "issue"));
    job.directory = arg("directory", "");
    job.ca_file = arg("ca_file", "");
    job.contact = arg("contact", "");
    job.agree_tos = strcmp(arg("tos", "1"), "0") != 0;
    job.account_must_exist = arg("must_exist", NULL) != NULL;
    job.account_url = line_of(side_file(account, ".url"));
    job.order_url = line_of(arg("order", ""));
    job.eab_kid = arg("eab_kid", "");
    job.profile = arg("profile", "");
    job.profile_required = true;
    job.preferred_chain = arg("prefer", "");
    job.replaces = arg("replaces", "");
    job.renewal_id = arg("renewal_id", "");
    job.names = names;
    job.n_names = split(arg("names", ""), names, JOB_NAMES_MAX);
    job.deadline_ms = strtoull(arg("deadline_ms", "0"), NULL, 10);
    take_challenges(&job);
    if (job.kind == JOB_REVOKE)
        job.certificate.p = slurp(arg("chain", ""), &job.certificate.n);
    keys.account = key_of(account, true);
    keys.next_account = key_of(arg("next", ""), true);
    keys.certificate = key_of(arg("key", ""), false);
    keys.eab_hmac = str_from(arg("eab_hmac", NULL));
    if (arg("http", NULL))
        listener = listen_on(arg("http", ""));
    if (arg("tls", NULL))
        tls_listener = listen_on(arg("tls", ""));
    table.challenge_rows = TABLE_CHALLENGES;
    run = job_start(forkserver, &job, &keys, &table);
    if (!run)
        die("job_start");
    code = serve(run, &table, listener, tls_listener);
    job_end(run);
    for (int i = 0; i < TABLE_CHALLENGES; i++) {
        struct challenge_row row;

        if (challenge_read(&table.challenge[i], &row) && row.kind != 0)
            printf("row %d is left over\n", i);
    }
    return code;
}
