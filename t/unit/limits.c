/* The limits that are not settings: the manual tells the numbers that are in force. */
#include <ctype.h>
#include <stdlib.h>

#include "acmed/order/ca_set.h"
#include "base/conf/conf.h"
#include "shm/cap.h"
#include "shm/status/summary.h"
#include "shm/table.h"
#include "t/unit/tap.h"
#include "worker/conn/conn_state.h"
#include "worker/core/core.h"
#include "worker/http/affinity.h"
#include "worker/http/basic.h"
#include "worker/http/forward.h"
#include "worker/http/h1.h"
#include "worker/log/access.h"
#include "worker/login/login.h"
#include "worker/login/login_limit.h"
#include "worker/proxy/exchange.h"

static char *manual;

/* The part of the manual from .It NAME to the next one; white space is single. */
static struct str item(const char *name)
{
    char begin[64];

    snprintf(begin, sizeof begin, ".It %s ", name);
    const char *at = strstr(manual, begin);
    const char *end = at ? strstr(at + 1, ".It ") : NULL;
    if (!end)
        end = at ? at + strlen(at) : NULL;
    return at ? str_span(at, end) : STR_EMPTY;
}

/* The item has "NUMBER unit" in it. */
static void says(const char *name, uint64_t number, const char *unit)
{
    struct str text = item(name);
    char want[64];
    int n = snprintf(want, sizeof want, " %llu %s", (unsigned long long)number, unit);

    ok(text.n && memmem(text.p, text.n, want, (size_t)n), "%s:%s", name, want);
}

static void read_manual(void)
{
    size_t size, n = 0;
    FILE *out = open_memstream(&manual, &size);

    conf_manual(out);
    fclose(out);
    for (char *p = manual; *p; p++) {
        char c = isspace((unsigned char)*p) ? ' ' : *p;
        if (c != ' ' || n == 0 || manual[n - 1] != ' ')
            manual[n++] = c;
    }
    manual[n] = '\0';
}

int main(void)
{
    read_manual();
    says("Method", H1_METHOD_MAX, "bytes");
    says("Connection", H1_CONNECTION_NAMES, "names");
    says("Connection", H1_CONNECTION_BYTES, "bytes");
    says("Transfer-Encoding", H1_CODINGS_MAX, "codings");
    says("Expect", EXCHANGE_EXPECT_MS, "ms");
    says("Expect", H1_BODY_BEGIN_MS, "ms");
    says("Expect", CAP_EXPECT_SHARE, "of");
    says("Expect", CAP_EXPECT_NO_CAP, "where");
    says("Bodies that stop", EXCHANGE_BODY_OWED_MS, "ms");
    says("Header", HTTP_FIELDS_LIMIT, "fields");
    says("Header", HTTP_HEAD_MAX / 1024, "KiB");
    says("Header", FORWARD_GROWTH_MAX, "bytes more");
    says("Chunked bodies", HTTP_CHUNK_EXT_MAX, "bytes of extensions");
    says("Chunked bodies", HTTP_TRAILERS_MAX, "bytes of trailers");
    says("Interim responses", H1_INTERIM_MAX, "for a request");
    says("Pipelined requests", WORKER_HEAD_BUFFER / 1024, "KiB are read ahead");
    says("Pipelined requests", HTTP_HEAD_MAX / 1024, "KiB more");
    says("Sessions", AFFINITY_LOOKS, "session cookies");
    says("Sessions", TABLE_HANDLES, "APSV connections");
    says("Held responses", WORKER_BODY / 1024, "KiB");
    says("Access log", ACCESS_TEXT_MAX, "bytes of each text");
    says("Access log", ACCESS_LINE_MAX / 1024, "KiB of a line");
    says("Access log", sizeof((struct recent_row *)0)->method, "bytes of a method");
    says("Access log", sizeof((struct recent_row *)0)->path, "of a path");
    says("Certificates", CA_SET_RUNS, "are ordered at a time");
    says("Certificates", TABLE_CHALLENGES, "challenges");
    says("Certificates", SUMMARY_CERTS, "certificates");
    says("Logins", LOGIN_FAILURES, "wrong passwords");
    says("Logins", LOGIN_WINDOW_MS / 1000, "s;");
    says("Logins", LOGIN_WAITS, "wait");
    says("Logins", LOGIN_WAITS_OF, "of one");
    says("Logins", BASIC_USER_MAX, "bytes");
    says("Logins", BASIC_PASSWORD_MAX, "bytes");
    says("Logins", CONF_MAX_USERS, "users");
    says("This file", CONF_MAX_FILES, "files");
    says("This file", CONF_MAX_WORKERS, "workers");
    says("This file", CONF_MAX_LISTENERS, "listeners");
    says("This file", CONF_MAX_POOLS, "pools");
    says("This file", CONF_MAX_BACKENDS, "backends");
    says("This file", CONF_MAX_ROUTES, "routes");
    says("This file", CONF_MAX_CERTS, "certificates");
    says("This file", CONF_MAX_NAMES, "names");
    says("This file", CONF_MAX_TRUSTED, "trusted networks");
    says("This file", CONF_MAX_CLIENTS, "entries in a list of clients");
    says("This file", CONF_MAX_LIST, "in other lists");
    free(manual);
    return done();
}
