/* What workers measure, for the comparison of backends; and what they do with a response for
 * which healthd found its backend unlike the others. */
#include "worker/proxy/measured.h"

#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"

enum { SLOW_MS = 1000, MORE_MS = 200 };

static struct client client;

static void start(uint32_t backends, const char *says)
{
    memset(&client, 0, sizeof client);
    script_defaults();
    script_start(backends);
    script_backend[0].does = says ? BACKEND_SAYS : BACKEND_WAITS;
    script_backend[0].says = says;
}

/* "responses 5xx 4xx slow" of pas1 */
static const char *measured(void)
{
    const struct worker_backend *cell = script_worker.backends[0].cell;
    static char text[64];

    snprintf(text, sizeof text, "%llu %llu %llu %llu",
             (unsigned long long)count_read(&cell->measured),
             (unsigned long long)count_read(&cell->measured_5xx),
             (unsigned long long)count_read(&cell->measured_4xx),
             (unsigned long long)count_read(&cell->measured_slow));
    return text;
}

static void asked(const char *request)
{
    memset(&client, 0, sizeof client);
    script_ask(&client, request);
    script_run();
}

static void test_kinds(void)
{
    start(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    asked("GET /web/a");
    is_str(measured(), "1 0 0 0", "a response");
    script_backend[0].says = "HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno";
    asked("POST /web/a\n\nx");
    is_str(measured(), "2 1 0 0", "a 500, to a POST too");
    script_backend[0].says = "HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\nno";
    asked("GET /web/a");
    is_str(measured(), "3 1 1 0", "a 404");
    asked("GET /web/a\nCookie: JSESSIONID=abc.pas1");
    is_str(measured(), "3 1 1 0", "nothing of a session");
    script_end("what is measured");
}

static void test_slow(void)
{
    start(1, NULL);
    asked("GET /web/a");
    script_wait(SLOW_MS);
    measured_look(&script_worker.backends[0]);
    is_str(measured(), "0 0 0 0", "one waits: not slow yet");
    script_wait(MORE_MS);
    measured_look(&script_worker.backends[0]);
    is_str(measured(), "1 0 0 1", "slow, before it ends");
    measured_look(&script_worker.backends[0]);
    script_say(0, "HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno");
    script_run();
    is_str(measured(), "1 0 0 1", "it is counted once");

    asked("GET /web/a");
    script_say(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    script_wait(SLOW_MS + MORE_MS);
    script_say(0, "0\r\n\r\n");
    script_run();
    is_str(measured(), "2 0 0 2", "a body that trickles");

    asked("GET /web/a");
    client.takes = 1;
    script_say(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    script_run();
    script_wait(SLOW_MS + MORE_MS);
    measured_look(&script_worker.backends[0]);
    client.takes = 0;
    script_read_on(&client);
    script_say(0, "0\r\n\r\n");
    script_run();
    is_str(measured(), "3 0 0 2", "a client that reads slowly is no fault of the backend");
    script_end("what is slow");
}

/* pas1 is unlike pas2 in this: what does the client get of its responses of that kind? */
static const char *unlike(enum health_cause cause, const char *request, const char *says)
{
    static char text[SCRIPT_TEXT];

    start(2, says);
    script_unlike(0, cause);
    for (int i = 0; i < 60 && !script_backend[0].requests; i++)
        asked(request);
    snprintf(text, sizeof text, "%s", script_got(&client));
    script_end("an unlike backend");
    return text;
}

static void test_refused(void)
{
    static const char error[] = "HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno";
    static const char missing[] = "HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\nno";

    is_str(unlike(CAUSE_5XX, "GET /web/a", error), "200 pas2", "its 500s: served elsewhere");
    is_str(unlike(CAUSE_4XX, "GET /web/a", missing), "200 pas2", "its 404s too");
    is_str(unlike(CAUSE_4XX, "GET /web/a", error), "500 no",
           "but not what it is not known for");
    is_str(unlike(CAUSE_SLOW, "GET /web/a", error), "500 no", "  whatever that is");
    is_str(unlike(CAUSE_5XX, "POST /web/a\n\nx", error), "500 no", "and no POST");
}

int main(void)
{
    test_kinds();
    test_slow();
    test_refused();
    return done();
}
