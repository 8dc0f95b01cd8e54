/* worker/log/access.h: what lines look like, and that no bytes of a peer can spoil one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "t/unit/tap.h"
#include "worker/log/access.h"

static char line[ACCESS_LINE_MAX + 1];
static struct sockaddr_in client = {.sin_family = AF_INET};

static struct access_record record(void)
{
    client.sin_port = htons(50123);
    inet_pton(AF_INET, "192.0.2.7", &client.sin_addr);
    return (struct access_record){
        .start_wall_ms = 1795342530007, /* 2026-11-22T10:15:30.007Z */
        .client = (const struct sockaddr *)&client,
        .method = STR("GET"),
        .target = STR("/pas/get?a=1"),
        .host = STR("shop.test"),
        .user_agent = STR("curl/8"),
        .request_id = STR("0123abcd"),
        .version_major = 1,
        .version_minor = 1,
        .status = 200,
        .bytes_in = 120,
        .bytes_out = 4321,
        .body_out = 4000,
        .header_us = 12,
        .first_byte_us = 3400,
        .total_us = 3500,
        .pool = "pas",
        .backend = "pas1",
        .backend_state = "up",
        .attempts = 3,
        .retried = CONF_RETRY_CUT | CONF_RETRY_504,
        .hedged = true,
        .reused = true,
        .end = ACCESS_END_DONE,
        .phase = ACCESS_PHASE_DONE,
        .tls_version = "TLSv1.3",
        .tls_cipher = "TLS_AES_128_GCM_SHA256",
        .sni = "shop.test",
    };
}

static const char *json(const struct access_record *r)
{
    size_t n = access_format(line, ACCESS_LINE_MAX, CONF_ACCESS_JSON, 3, r);

    line[n] = '\0';
    return line;
}

static const char *combined(const struct access_record *r)
{
    size_t n = access_format(line, ACCESS_LINE_MAX, CONF_ACCESS_COMBINED, 3, r);

    line[n] = '\0';
    return line;
}

static void test_lines(void)
{
    struct access_record r = record();

    is_str(json(&r),
           "{\"time\":\"2026-11-22T10:15:30.007Z\",\"worker\":3,\"client\":\"192.0.2.7\","
           "\"port\":50123,\"id\":\"0123abcd\",\"method\":\"GET\",\"status\":200,"
           "\"end\":\"done\",\"phase\":\"done\",\"bytes_in\":120,\"bytes_out\":4321,"
           "\"body_out\":4000,\"header_us\":12,\"first_byte_us\":3400,\"total_us\":3500,"
           "\"pool\":\"pas\",\"backend\":\"pas1\",\"backend_state\":\"up\",\"attempts\":3,"
           "\"retried\":\"cut,504\",\"raced\":true,"
           "\"reused\":true,\"version\":\"HTTP/1.1\",\"host\":\"shop.test\","
           "\"target\":\"/pas/get?a=1\",\"tls\":\"TLSv1.3\","
           "\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"sni\":\"shop.test\","
           "\"user_agent\":\"curl/8\"}\n",
           "JSON");
    is_str(combined(&r),
           "192.0.2.7 - - [22/Nov/2026:10:15:30 +0000] \"GET /pas/get?a=1 HTTP/1.1\" 200 4000 "
           "\"-\" \"curl/8\"\n",
           "combined");
    r = (struct access_record){.end = ACCESS_END_TIMEOUT, .phase = ACCESS_PHASE_HEADER};
    is_str(json(&r),
           "{\"time\":\"1970-01-01T00:00:00.000Z\",\"worker\":3,\"client\":\"-\",\"port\":0,"
           "\"status\":0,\"end\":\"timeout\",\"phase\":\"header\",\"bytes_in\":0,"
           "\"bytes_out\":0,\"total_us\":0}\n",
           "JSON of nothing");
    is_str(combined(&r), "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - 0 \"-\" \"-\"\n",
           "combined of nothing");
    r.end = r.phase = 200;
    ok(strstr(json(&r), "\"end\":\"?\",\"phase\":\"?\"") != NULL, "unknown end and phase");
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    inet_pton(AF_INET6, "::ffff:198.51.100.9", &six.sin6_addr);
    r.client = (const struct sockaddr *)&six;
    ok(strstr(json(&r), "\"client\":\"198.51.100.9\"") != NULL, "mapped IPv4");
    inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
    ok(strstr(json(&r), "\"client\":\"2001:db8::1\",\"port\":9") != NULL, "IPv6");
    is_int(access_format(line, ACCESS_LINE_MAX - 1, CONF_ACCESS_JSON, 0, &r), 0,
           "no room for any line");
    r.start_wall_ms = UINT64_MAX;
    ok(json(&r)[0] == '{' && combined(&r)[0], "a time beyond all calendars");
}

static void test_escapes(void)
{
    static const struct {
        const char *in, *json, *combined;
    } cases[] = {
        {"a\"b\\c", "a\\\"b\\\\c", "a\\\"b\\\\c"},
        {"\n\r\t\x1b[2J", "\\u000a\\u000d\\u0009\\u001b[2J", "\\x0a\\x0d\\x09\\x1b[2J"},
        {"\x7f", "\\u007f", "\\x7f"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff\xc3", "\\\\xff\\\\xc3", "\\xff\\xc3"},
        {"\xc0\xaf", "\\\\xc0\\\\xaf", "\\xc0\\xaf"},                 /* overlong */
        {"\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80", "\\xed\\xa0\\x80"}, /* surrogate */
        {"\xc2\x9b", "\\\\xc2\\\\x9b", "\\xc2\\x9b"},                 /* C1: CSI */
        {"\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80", "\\xf4\\x90\\x80\\x80"},
    };
    char want[200];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct access_record r = {.user_agent = str_from(cases[i].in)};

        snprintf(want, sizeof want, "\"user_agent\":\"%s\"}\n", cases[i].json);
        ok(strstr(json(&r), want) != NULL, "JSON escape %zu", i);
        json_error_t e;
        json_t *parsed = json_loads(line, 0, &e);
        ok(parsed != NULL, "and it is JSON %s", parsed ? "" : e.text);
        json_decref(parsed);
        snprintf(want, sizeof want, " \"%s\"\n", cases[i].combined);
        ok(strstr(combined(&r), want) != NULL, "combined escape %zu", i);
    }
}

static void test_long(void)
{
    static char bad[100000];
    struct access_record r = record();
    struct str all = {bad, sizeof bad};
    json_error_t e;

    memset(bad, 1, sizeof bad);
    r.target = r.host = r.user_agent = r.referer = r.method = r.request_id = all;
    size_t n = access_format(line, ACCESS_LINE_MAX, CONF_ACCESS_JSON, 3, &r);
    ok(n < ACCESS_LINE_MAX && line[n - 1] == '\n', "a monster is cut: %zu bytes", n);
    json_t *parsed = json_loadb(line, n, 0, &e);
    ok(parsed != NULL, "and is JSON still");
    is_int(json_integer_value(json_object_get(parsed, "total_us")), 3500, "with its numbers");
    json_decref(parsed);
    n = access_format(line, ACCESS_LINE_MAX, CONF_ACCESS_COMBINED, 3, &r);
    ok(n < ACCESS_LINE_MAX && line[n - 1] == '\n', "combined: %zu bytes", n);
    memset(bad, 'a', sizeof bad);
    r = (struct access_record){.user_agent = {bad, ACCESS_TEXT_MAX}};
    ok(!strstr(json(&r), "..."), "the longest text is whole");
    r.user_agent.n++;
    ok(strstr(json(&r), "a...\"}\n") != NULL, "one more is cut, visibly");
}

static size_t drain(int fd, char *buf, size_t cap)
{
    size_t n = 0;
    ssize_t got;

    while (n < cap && (got = read(fd, buf + n, cap - n)) > 0)
        n += (size_t)got;
    return n;
}

static size_t count(const char *p, size_t n)
{
    size_t lines = 0;

    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void test_file(void)
{
    static const struct conf_log conf = {.access = CONF_ACCESS_FILE};
    char one[] = "/tmp/pasgate-access-XXXXXX", two[] = "/tmp/pasgate-access-XXXXXX";
    static char buf[1 << 20];
    struct access_record r = record();
    struct access_log *log = access_new(&conf, mkstemp(one), 0);
    int in = open(one, O_RDONLY);

    access_write(log, &r);
    is_int(drain(in, buf, sizeof buf), 0, "a line waits");
    access_flush_due(log, 1000);
    access_flush_due(log, 1000 + ACCESS_FLUSH_MS - 1);
    is_int(drain(in, buf, sizeof buf), 0, "until it is old enough");
    access_flush_due(log, 1000 + ACCESS_FLUSH_MS);
    is_int(count(buf, drain(in, buf, sizeof buf)), 1, "then it is written");
    for (int i = 0; i < 1000; i++)
        access_write(log, &r);
    size_t n = drain(in, buf, sizeof buf);
    ok(n > 100000, "full batches are written at once");
    access_reopen(log, mkstemp(two));
    n += drain(in, buf + n, sizeof buf - n);
    is_int(count(buf, n), 1000, "the rest goes to the old file");
    close(in);
    in = open(two, O_RDONLY);
    access_write(log, &r);
    access_free(log);
    is_int(count(buf, drain(in, buf, sizeof buf)), 1,
           "and the next to the new one, at the end");
    close(in);
    unlink(one);
    unlink(two);

    log = access_new(&conf, open("/dev/full", O_WRONLY), 0);
    for (int i = 0; i < 1000; i++)
        access_write(log, &r);
    ok(access_dropped(log) > 0, "a full disk loses lines: %d", (int)access_dropped(log));
    access_reopen(log, mkstemp(strcpy(one, "/tmp/pasgate-access-XXXXXX")));
    access_write(log, &r);
    access_free(log);
    in = open(one, O_RDONLY);
    n = drain(in, buf, sizeof buf);
    buf[n] = '\0';
    ok(strstr(buf, ",\"dropped\":") != NULL, "and says so when there is room again");
    close(in);
    unlink(one);
    access_write(NULL, &r);
    access_flush_due(NULL, 1);
    access_free(NULL);
}

/* Does each line begin with this? */
static bool begin_with(const char *buf, size_t n, char first)
{
    bool all = n && buf[n - 1] == '\n' && buf[0] == first;

    for (size_t i = 1; i < n; i++)
        all &= buf[i - 1] != '\n' || buf[i] == first;
    return all;
}

static void test_pipe(void)
{
    static const struct conf_log conf = {.access = CONF_ACCESS_STDOUT};
    static char buf[1 << 20];
    struct access_record r = record();
    int fd[2];
    size_t n = 0;

    if (pipe(fd) != 0)
        return;
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    struct access_log *log = access_new(&conf, fd[1], 0);
    uint64_t before = clock_mono_ms();
    for (int i = 0; i < 2000; i++)
        access_write(log, &r);
    ok(clock_mono_ms() - before < 5000, "a pipe that nobody reads does not block");
    ok(access_dropped(log) > 0, "it loses lines");
    uint64_t lost = access_dropped(log);
    for (int i = 0; i < 4; i++) {
        n += drain(fd[0], buf + n, sizeof buf - n);
        access_flush(log);
    }
    access_write(log, &r);
    access_free(log);
    n += drain(fd[0], buf + n, sizeof buf - n);
    is_int(count(buf, n), 2000 - lost + 2, "what was kept comes whole, and one line about it");
    ok(begin_with(buf, n, '{'), "no line is torn");
    close(fd[0]);
}

/* A pipe of one page with a name. Its reader is gone and another one comes; the pipe keeps what
 * was in it, because the log has it open. */
static int fifo_reader(const char *path)
{
    return open(path, O_RDONLY | O_NONBLOCK);
}

/* A line that is longer than the pipe; its rest waits. Returns the reader. */
static int begin_line(const char *path, struct access_log **log)
{
    static const struct conf_log conf = {.access = CONF_ACCESS_STDOUT};
    static char target[ACCESS_TEXT_MAX]; /* each byte of it becomes six */
    struct access_record r = record();
    int reader, writer;

    unlink(path);
    if (mkfifo(path, 0600) != 0 || (reader = fifo_reader(path)) < 0)
        return -1;
    writer = open(path, O_WRONLY | O_NONBLOCK);
    fcntl(writer, F_SETPIPE_SZ, 4096);
    *log = access_new(&conf, writer, 0);
    r.target = str_make(memset(target, 1, sizeof target), sizeof target);
    access_write(*log, &r);
    access_flush(*log);
    return reader;
}

/* A long line is torn, its rest is dropped because the reader is gone. Returns the next reader;
 * the pipe is still full. */
static int tear(const char *path, struct access_log **log)
{
    int reader = begin_line(path, log);

    close(reader);
    access_flush(*log);
    is_int(access_dropped(*log), 1, "the reader went away in the middle of a line");
    return fifo_reader(path);
}

static void test_torn(void)
{
    char path[] = "/tmp/pasgate-access-fifo-XXXXXX", next[] = "/tmp/pasgate-access-XXXXXX";
    static char buf[1 << 16];
    struct access_record r = record();
    struct access_log *log = NULL;
    int reader, file = mkstemp(path);
    size_t n;

    close(file);
    signal(SIGPIPE, SIG_IGN);
    reader = tear(path, &log);
    n = drain(reader, buf, sizeof buf);
    ok(n == 4096 && !memchr(buf, '\n', n), "half a line is there");
    access_write(log, &r);
    access_flush(log);
    n = drain(reader, buf, sizeof buf - 1);
    buf[n] = '\0';
    ok(strncmp(buf, "\n{", 2) == 0 && strstr(buf, ",\"dropped\":1}\n{"),
       "the next line begins a new one: %.40s", buf);
    close(reader);
    access_write(log, &r);
    access_flush(log);
    is_int(access_dropped(log), 2, "whole lines are lost one by one");
    access_free(log);

    reader = tear(path, &log);
    access_write(log, &r); /* it waits: the pipe is full */
    file = mkstemp(next);
    access_reopen(log, file);
    access_free(log);
    file = open(next, O_RDONLY);
    n = drain(file, buf, sizeof buf - 1);
    buf[n] = '\0';
    ok(buf[0] == '{' && strstr(buf, "\"target\":\"/pas/get?a=1\""),
       "at reopen the line that waits goes to the new file: %.40s", buf);
    is_int(count(buf, n), 2, "whole, after one about the lost line");
    close(file);
    close(reader);

    reader = tear(path, &log);
    access_reopen(log, open(path, O_WRONLY | O_NONBLOCK));
    drain(reader, buf, sizeof buf);
    access_write(log, &r);
    access_free(log);
    n = drain(reader, buf, sizeof buf - 1);
    buf[n] = '\0';
    ok(strncmp(buf, "\n{", 2) == 0, "reopened, and it is the same: a new line all the same");
    close(reader);

    reader = begin_line(path, &log);
    access_reopen(log, open(path, O_WRONLY | O_NONBLOCK));
    n = drain(reader, buf, sizeof buf);
    access_write(log, &r);
    access_flush(log);
    is_int(access_dropped(log), 0, "reopened in the middle of a line: nothing is lost");
    n += drain(reader, buf + n, sizeof buf - n);
    access_free(log);
    n += drain(reader, buf + n, sizeof buf - n);
    is_int(count(buf, n), 2, "  its rest follows");
    ok(begin_with(buf, n, '{'), "  and then the next line, whole");
    close(reader);
    unlink(path);
    unlink(next);
}

static void test_syslog(void)
{
    static const struct conf_log conf = {.access = CONF_ACCESS_SYSLOG};
    struct access_record r = record();
    char buf[4096];
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd) != 0)
        return;
    struct access_log *log = access_new(&conf, fd[1], 0);
    access_write(log, &r);
    access_write(log, &r);
    access_flush(log);
    ssize_t n = recv(fd[0], buf, sizeof buf - 1, 0);
    buf[n > 0 ? n : 0] = '\0';
    ok(strncmp(buf, "<30>", 4) == 0 && strstr(buf, "]: {\"time\""), "a datagram: %.30s...",
       buf);
    ok(recv(fd[0], buf, sizeof buf, 0) > 0, "and another");
    ok(recv(fd[0], buf, sizeof buf, 0) < 0, "one per line");
    access_free(log);
    close(fd[0]);
}

/* Standard output may be a socket of datagrams that takes no long ones. */
static void test_datagrams(void)
{
    static const struct conf_log conf = {.access = CONF_ACCESS_STDOUT};
    static char target[ACCESS_TEXT_MAX], buf[ACCESS_LINE_MAX];
    struct access_record r = record(), longer = r;
    int fd[2], least = 1;
    size_t got = 0;
    ssize_t n;

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd) != 0 ||
        setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) != 0)
        return;
    longer.target = str_make(memset(target, 1, sizeof target), sizeof target);
    struct access_log *log = access_new(&conf, fd[1], 0);
    for (int i = 0; i < 20; i++)
        access_write(log, i == 10 ? &longer : &r);
    for (int i = 0; i < 20; i++) {
        if (i == 19)
            access_write(log, &r);
        access_flush(log);
        while ((n = recv(fd[0], buf, sizeof buf, 0)) > 0) {
            if (buf[0] != '{' || buf[n - 1] != '\n')
                fail("%zd bytes that are no whole lines", n);
            got += count(buf, (size_t)n);
        }
    }
    is_int(access_dropped(log), 1, "a line that fits in no datagram is lost");
    is_int(got, 20 + 1, "the others come, and one about it");
    access_free(log);
    close(fd[0]);
}

static void measure(void)
{
    struct access_record r = record();
    uint64_t start = clock_mono_us();

    for (int i = 0; i < 100000; i++)
        r.start_wall_ms += access_format(line, ACCESS_LINE_MAX, CONF_ACCESS_JSON, 0, &r) > 0;
    diag("%.0f ns per JSON line", (double)(clock_mono_us() - start) / 100);
}

int main(void)
{
    test_lines();
    test_escapes();
    test_long();
    test_file();
    test_pipe();
    test_torn();
    test_syslog();
    test_datagrams();
    measure();
    return done();
}
