/* The body of a request on its way to a backend: collected, streamed, announced by "Expect",
 * stopped half-way by its client or by the backend. */
#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/proxy/exchange.h"

enum { MORE_MS = 50 };

#define BUSY "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"
/* As much as is collected before a backend is chosen (SCRIPT_REQUEST_BUFFER). */
#define MUCH "0123456789012345678901234567890123456789012345678901234567890123"

static struct client client;

static void begin(void)
{
    client = (struct client){0};
    script_start(2);
}

static void ask(const char *request)
{
    script_ask(&client, request);
    script_run();
}

static void sends(const char *bytes, bool last)
{
    script_send(&client, bytes, last);
    script_run();
}

static const char *sent_body(void)
{
    const char *end = strstr(script_backend[0].last, "\r\n\r\n");

    return end ? end + 4 : "";
}

static bool sent_field(const char *field)
{
    return strcasestr(script_backend[0].last, field) != NULL;
}

static void test_collected(void)
{
    script_defaults();
    begin();
    ask("POST /a\nContent-Length: 6\n\nab");
    is_int(script_in_flight(0), 0, "a short body is collected first: no slot is taken");
    sends("cd", false);
    is_int(script_backend[0].connections, 0, "  and no connection");
    sends("ef", true);
    is_str(script_got(&client), "200 pas1", "then it is sent");
    is_str(sent_body(), "abcdef", "  in one piece");
    is_str(script_log_field("body_in"), "6", "  the log has its length");
    script_end("a short body");

    begin();
    ask("POST /a\nTransfer-Encoding: chunked");
    sends("ab", false);
    sends("cd", true);
    is_str(script_got(&client), "200 pas1", "a chunked body is collected, too");
    is_str(sent_body(), "4\r\nabcd\r\n0\r\n\r\n", "  and sent as one chunk");
    script_end("a chunked body");

    begin();
    ask("POST /a\nTransfer-Encoding: chunked");
    sends("", true);
    is_str(sent_body(), "0\r\n\r\n", "one that is empty has its end");
    script_end("an empty chunked body");

    begin();
    script_conf.limits.memory = WORKER_REQUEST_BUFFER + 1000;
    script_route.request_buffer = 1 << 20;
    ask("POST /a\nContent-Length: 30000\n\nab");
    for (int i = 0; i < 300 && client.transport.exchange; i++)
        sends(MUCH, false);
    is_str(script_got(&client), "503 of pasgate", "no memory for more of it: 503");
    script_end("no memory");
}

static void test_streamed(void)
{
    script_defaults();
    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    is_int(script_in_flight(0), 1, "a long body: its first part is sent");
    ok(client.asked, "  and the rest is asked for");
    sends("ab", false);
    sends("cd", true);
    is_str(script_got(&client), "200 pas1", "  until it is complete");
    is_str(sent_body(), MUCH "abcd", "  nothing is lost");
    script_end("a long body");

    begin();
    ask("POST /a\nTransfer-Encoding: chunked\n\n" MUCH);
    sends("ab", false);
    sends("cd", true);
    is_str(sent_body(), "40\r\n" MUCH "\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
           "a long chunked body: chunk by chunk");
    script_end("a long chunked body");
}

static void test_limit(void)
{
    script_defaults();
    script_route.body_bytes = 70;
    begin();
    ask("POST /a\nContent-Length: 71\n\nab");
    is_str(script_got(&client), "413 of pasgate", "a length over the limit: 413 at once");
    is_int(script_backend[0].connections, 0, "  no backend hears of it");
    script_end("a length over the limit");

    begin();
    ask("POST /a\nTransfer-Encoding: chunked\n\n" MUCH);
    is_int(script_in_flight(0), 1, "chunks, which are sent as they come");
    sends("0123456", false);
    is_str(script_got(&client), "413 of pasgate", "  until they are over the limit: 413");
    is_int(script_open(0), 0, "  the backend's connection is closed");
    is_int(script_backend[0].requests, 0, "  so the backend sees that it is incomplete");
    is_str(script_faults(0), "", "  which is not its fault");
    script_end("chunks over the limit");
}

/* ---- the backend does not wait for the whole body */

static void test_early(void)
{
    script_defaults();
    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    script_say(0, BUSY);
    script_run();
    is_str(script_got(&client), "503 busy",
           "a response before the body is complete: passed on");
    is_int(script_worker.backends[0].nidle, 0, "  the connection is not kept");
    script_end("an early response");

    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    script_say(0, BUSY);
    script_reset(0);
    sends("ab", false);
    ok(client.ends == 1, "an early response and a reset: over, whichever is seen first");
    script_end("an early response and a reset");

    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    script_wait(EXCHANGE_BODY_OWED_MS - MORE_MS);
    script_close(0);
    script_run();
    is_str(script_got(&client), "502 of pasgate", "the backend closes: its failure");
    is_str(script_faults(0), "reset 1", "  which is counted");
    script_end("it closes");

    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    script_wait(EXCHANGE_BODY_OWED_MS);
    script_close(0);
    script_run();
    is_str(script_got(&client), "408 of pasgate",
           "it closes after the client stopped sending: the client's");
    is_str(script_faults(0), "", "  nothing is counted against the backend");
    is_int(count_read(&script_worker.row->slow_bodies), 1, "  but a slow body");
    is_str(script_log_field("end"), "client", "  the log says so");
    script_end("it gives up");

    begin();
    ask("POST /a\nContent-Length: 68\n\n" MUCH);
    script_wait(EXCHANGE_BODY_OWED_MS);
    script_say(0, BUSY);
    script_run();
    is_str(script_got(&client), "503 busy", "its own response for that: passed on");
    is_int(count_read(&script_worker.backends[0].cell->gateway_errors), 0, "  and not counted");
    is_str(script_log_field("end"), "client", "  the log says so");
    script_end("it gives up with a response");
}

/* ---- Expect: 100-continue */

#define EXPECTS "POST /a\nExpect: 100-continue\nContent-Length: 4"

static void test_expect(void)
{
    script_defaults();
    begin();
    ask(EXPECTS);
    is_int(script_in_flight(0), 1, "the head goes first");
    ok(!client.asked, "  the body is not asked for");
    script_say(0, "HTTP/1.1 100 Go\r\n\r\n");
    script_run();
    ok(client.asked, "the backend says 100: it is");
    sends("abcd", true);
    is_str(script_got(&client), "200 pas1", "  and served");
    is_str(sent_body(), "abcd", "  whole");
    is_int(client.interims, 0, "  the client's 100 is its transport's task");
    ok(script_worker.backends[0].nidle == 1, "  the connection is kept");
    script_end("a 100");

    begin();
    ask(EXPECTS);
    script_say(0, BUSY);
    script_run();
    is_str(script_got(&client), "503 busy", "the backend refuses without the body");
    ok(!client.asked, "  which is never asked for");
    is_int(script_worker.backends[0].nidle, 0, "  the connection is not kept");
    script_end("a refusal");

    begin();
    ask(EXPECTS);
    script_wait(EXCHANGE_EXPECT_MS - MORE_MS);
    ok(!client.asked, "a backend that says nothing has a second");
    script_wait(2 * MORE_MS);
    ok(client.asked, "  then the body is asked for all the same");
    sends("abcd", true);
    is_str(script_got(&client), "200 pas1", "  and sent");
    script_end("no 100");

    script_conf_backend[0].max_in_flight = 1;
    begin();
    ask(EXPECTS);
    ok(client.asked && script_in_flight(0) == 0,
       "where slots are scarce, it is collected like any other body");
    sends("abcd", true);
    is_str(script_got(&client), "200 pas1", "  and served");
    ok(!sent_field("\r\nExpect:"), "  without the expectation");
    script_end("a scarce slot");
}

int main(void)
{
    test_collected();
    test_streamed();
    test_limit();
    test_early();
    test_expect();
    return done();
}
