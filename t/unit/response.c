/* A response on its way back, however its bytes arrive and however its client reads: what the
 * client gets, and whether the connection may be kept. There is only one backend, so that
 * nothing is held or fetched elsewhere. */
#include <stdio.h>
#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/http/headers.h"

static struct client client;

#define INTERIM "HTTP/1.1 103 Early\r\n\r\n"
#define FOUR    INTERIM INTERIM INTERIM INTERIM

static const struct row {
    const char *name, *request;
    const char *response;
    bool closes; /* the backend, behind it */
    bool kept;
    const char *got;
    const char *in_pieces; /* NULL: the same */
} table[] = {
    /* framing */
    {"a length", "GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, true,
     "200 body", NULL},
    {"length 0", "GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true, "200",
     NULL},
    {"chunks", "GET /a",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
     false, true, "200 body", NULL},
    {"chunks and trailers", "GET /a\nTE: trailers",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
     false, true, "200 body", NULL},
    {"neither", "GET /a", "HTTP/1.1 200 OK\r\n\r\nbody", true, false, "200 body", NULL},
    {"HEAD", "HEAD /a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", false, true, "200",
     NULL},
    {"204", "GET /a", "HTTP/1.1 204 No\r\n\r\n", false, true, "204", NULL},
    {"304", "GET /a", "HTTP/1.1 304 Same\r\nContent-Length: 4\r\n\r\n", false, true, "304",
     NULL},
    /* the connection */
    {"Connection: close", "GET /a",
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody", false, false,
     "200 body", NULL},
    {"HTTP/1.0", "GET /a", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, false,
     "200 body", NULL},
    {"FIN behind it", "GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", true, false,
     "200 body", NULL},
    {"bytes behind a length", "GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyX",
     false, false, "200 body", NULL},
    {"bytes behind chunks", "GET /a",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nX", false,
     false, "200 body", NULL},
    {"bytes behind a HEAD", "HEAD /a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
     false, false, "200", NULL},
    /* interim responses */
    {"an interim response", "GET /a",
     INTERIM "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, true, "200 body", NULL},
    {"a 100 that nobody expects", "GET /a",
     "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, true,
     "200 body", NULL},
    {"interim responses without end", "GET /a", FOUR FOUR FOUR FOUR FOUR, false, false,
     "502 of pasgate", NULL},
    /* what is no response */
    {"no HTTP", "GET /a", "hello\r\n\r\n", false, false, "502 of pasgate", NULL},
    {"two lengths", "GET /a",
     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody", false, false,
     "502 of pasgate", NULL},
    {"an upgrade that nobody asked for", "GET /a",
     "HTTP/1.1 101 Now\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false, false,
     "502 of pasgate", NULL},
    {"a wrong first chunk", "GET /a",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody\r\n", false, false,
     "502 of pasgate", "200 (cut)"},
    {"a wrong second chunk", "GET /a",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\nX", false, false,
     "502 of pasgate", "200 bo (cut)"},
};

/* ---- how the bytes go */

static void at_once(const char *bytes)
{
    script_say(0, bytes);
    script_run();
}

/* The backend may have lost its connection by then. */
static void in_pieces(const char *bytes)
{
    for (; *bytes && script_open(0); bytes++) {
        const char piece[2] = {*bytes, '\0'};

        script_say(0, piece);
        script_run();
    }
}

/* The client takes each piece only when nothing more comes. */
static void to_slow_reader(const char *bytes)
{
    while (*bytes && script_open(0)) {
        char piece[4] = "";

        strncat(piece, bytes, sizeof piece - 1);
        bytes += strlen(piece);
        client.takes = 1;
        script_say(0, piece);
        script_run();
        script_read_on(&client);
        script_run();
    }
}

static const struct {
    const char *name;
    void (*say)(const char *bytes);
} ways[] = {
    {"at once", at_once}, {"in pieces", in_pieces}, {"to a slow reader", to_slow_reader}};

static void test(const struct row *row, size_t way)
{
    char name[128];

    snprintf(name, sizeof name, "%s, %s", row->name, ways[way].name);
    client = (struct client){0};
    script_defaults();
    script_start(1);
    script_backend[0].does = BACKEND_WAITS;
    script_ask(&client, row->request);
    script_run();
    ways[way].say(row->response);
    if (row->closes && script_open(0))
        script_close(0);
    script_run();
    script_read_on(&client);
    is_str(script_got(&client), way && row->in_pieces ? row->in_pieces : row->got, "%s", name);
    is_int(script_worker.backends[0].nidle, row->kept, "%s: %s", name,
           row->kept ? "the connection is kept" : "the connection is closed");
    script_end(name);
}

/* ---- a client that does not read */

static void test_back_pressure(void)
{
    client = (struct client){0};
    script_defaults();
    script_start(1);
    script_backend[0].does = BACKEND_WAITS;
    client.takes = 1;
    script_ask(&client, "GET /a");
    script_run();
    at_once("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    at_once("more");
    is_str(script_got(&client), "200 half...",
           "nothing is read for a client that takes nothing");
    script_wait(10 * SCRIPT_RESPONSE_IDLE_MS);
    is_str(script_got(&client), "200 half...", "  the backend is not blamed for the time");
    script_read_on(&client);
    script_run();
    is_str(script_got(&client), "200 halfmore", "  the rest comes when it reads");
    is_str(script_faults(0), "", "  no fault");
    script_end("back-pressure");

    client = (struct client){0};
    script_start(1);
    script_backend[0].does = BACKEND_WAITS;
    script_ask(&client, "GET /a");
    script_run();
    client.takes = -1;
    at_once("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    is_int(client.ends, 1, "a client that is gone when the response comes: over");
    is_int(script_open(0), 0, "  and the backend's connection is closed");
    is_str(script_log_field("end"), "client", "  the log says who it was");
    is_str(script_faults(0), "", "  no fault");
    script_end("a client that is gone");
}

/* As many fields as are accepted, so that those that pasgate adds have no place. */
static void test_large_head(const char *status, const char *behind, unsigned fields,
                            const char *got)
{
    char head[HTTP_FIELDS_MAX * 8 + 128];
    size_t n = (size_t)snprintf(head, sizeof head, "HTTP/1.1 %s\r\n", status);

    for (unsigned i = 0; i < fields; i++)
        n += (size_t)snprintf(head + n, sizeof head - n, "A: %u\r\n", i);
    snprintf(head + n, sizeof head - n, "%s", behind);
    client = (struct client){0};
    script_defaults();
    script_start(1);
    script_worker.limits.fields = HTTP_FIELDS_MAX - 1;
    script_backend[0].does = BACKEND_WAITS;
    script_ask(&client, "GET /a");
    script_run();
    at_once(head);
    is_str(script_got(&client), got, "%s with %u fields", status, fields);
    if (client.own) {
        is_str(script_log_field("end"), "backend", "  the log says whose it was");
        is_str(script_log_field("error"), "http_response_header_section_size",
               "  and what was wrong");
    }
    is_str(script_faults(0), "", "  no fault of the backend");
    script_end("a large head");
}

static void test_large_heads(void)
{
    enum { ACCEPTED = HTTP_FIELDS_MAX - 1, PASSED = HTTP_FIELDS_MAX - HEADERS_ADDED_MAX };
    static const char end[] = "Content-Length: 4\r\n\r\nbody";
    static const char final[] = "\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

    test_large_head("200 OK", end, PASSED, "200 body");
    test_large_head("200 OK", end, ACCEPTED - 1, "502 of pasgate");
    test_large_head("103 Early", final, PASSED, "200 body");
    test_large_head("103 Early", final, ACCEPTED, "502 of pasgate");
}

/* From the last byte of the request to the first one of the final response. */
static void test_first_byte(void)
{
    client = (struct client){0};
    script_defaults();
    script_start(1);
    script_backend[0].does = BACKEND_WAITS;
    script_ask(&client, "GET /a");
    script_run();
    script_move_clock(2000000);
    at_once("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    is_str(script_log_field("first_byte_us"), "2000000", "a 100 and a response in one read");
    script_end("the first byte");
}

int main(void)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
            test(&table[i], way);
    test_back_pressure();
    test_large_heads();
    test_first_byte();
    return done();
}
