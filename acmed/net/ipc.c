#include "acmed/net/ipc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "acmed/order/job.h"

/* A packet is the type, then the fields of its table row in order. Numbers take 8 bytes, texts
 * a length of 4 bytes and their bytes, all in the machine's byte order: both ends are the same
 * program. */

enum field_kind {
    NUMBER, /* at most limit */
    ANY,    /* bytes; limit is the maximum length, here and below */
    LINE,   /* printable ASCII */
    LINES,  /* printable ASCII and newlines */
    URL,    /* or empty */
    TOKEN,
    NONCE, /* base64url, or empty */
    HOST,  /* a DNS name, or empty; it goes into the environment of a shell script */
};

struct field {
    enum field_kind kind;
    size_t offset; /* in struct ipc_message */
    uint64_t limit;
};

#define AT(member) offsetof(struct ipc_message, member)

enum {
    NAME_MAX_BYTES = 253,
    NONCE_MAX = 256,
    PAYLOAD_MAX = 80 * 1024,
    KID_MAX = 512,
    FIELDS = 22,
};

static const struct field layout[IPC_TYPES][FIELDS] = {
    [IPC_BEGIN] = {{NUMBER, AT(begin.kind), JOB_KINDS - 1},
                   {NUMBER, AT(begin.challenges), 0xfff},
                   {NUMBER, AT(begin.flags), IPC_FLAGS},
                   {NUMBER, AT(begin.reason), 10},
                   {NUMBER, AT(begin.deadline_ms), UINT64_MAX},
                   {NUMBER, AT(begin.http_port), UINT16_MAX},
                   {NUMBER, AT(begin.dns_wait_ms), UINT32_MAX},
                   {URL, AT(begin.directory), JOB_URL_SIZE - 1},
                   {ANY, AT(begin.ca_file), 4096},
                   {LINE, AT(begin.contact), 320},
                   {URL, AT(begin.account_url), JOB_URL_SIZE - 1},
                   {LINE, AT(begin.eab_kid), KID_MAX},
                   {LINES, AT(begin.names), JOB_NAMES_MAX *(NAME_MAX_BYTES + 1)},
                   {LINE, AT(begin.profile), 64},
                   {LINE, AT(begin.replaces), 256},
                   {URL, AT(begin.order_url), JOB_URL_SIZE - 1},
                   {LINE, AT(begin.renewal_id), 256},
                   {LINE, AT(begin.certificate), 32 * 1024},
                   {LINE, AT(begin.resolver), 64},
                   {LINE, AT(begin.marker), 128},
                   {LINE, AT(begin.marker_text), 128}},
    [IPC_REPLY] = {{NUMBER, AT(reply.number), UINT32_MAX},
                   {ANY, AT(reply.bytes), IPC_MAX - 64}},
    [IPC_SIGN] = {{NUMBER, AT(sign.how), IPC_HOWS - 1},
                  {URL, AT(sign.url), JOB_URL_SIZE - 1},
                  {NONCE, AT(sign.nonce), NONCE_MAX},
                  {LINE, AT(sign.kid), JOB_URL_SIZE - 1},
                  {ANY, AT(sign.payload), PAYLOAD_MAX}},
    [IPC_CSR] = {{0}},
    [IPC_PUT] = {{NUMBER, AT(challenge.kind), JOB_CHALLENGE_KINDS - 1},
                 {TOKEN, AT(challenge.token), 128},
                 {LINE, AT(challenge.name), NAME_MAX_BYTES},
                 {HOST, AT(challenge.target), NAME_MAX_BYTES}},
    [IPC_DROP] = {{NUMBER, AT(challenge.kind), JOB_CHALLENGE_KINDS - 1},
                  {TOKEN, AT(challenge.token), 128},
                  {LINE, AT(challenge.name), NAME_MAX_BYTES},
                  {HOST, AT(challenge.target), NAME_MAX_BYTES}},
    [IPC_PROGRESS] = {{NUMBER, AT(progress.state), JOB_STATES - 1},
                      {NUMBER, AT(progress.clock_off_ms), UINT64_MAX},
                      {URL, AT(progress.account_url), JOB_URL_SIZE - 1},
                      {URL, AT(progress.order_url), JOB_URL_SIZE - 1}},
    [IPC_CHAIN] = {{ANY, AT(chain.pem), JOB_CHAIN_MAX}},
    [IPC_DONE] = {{NUMBER, AT(done.clock_off_ms), UINT64_MAX},
                  {NUMBER, AT(done.retry_after_s), UINT32_MAX},
                  {NUMBER, AT(done.window_start_wall_ms), UINT64_MAX},
                  {NUMBER, AT(done.window_end_wall_ms), UINT64_MAX},
                  {NUMBER, AT(done.challenge), JOB_CHALLENGE_KINDS - 1},
                  {LINE, AT(done.explanation), JOB_URL_SIZE - 1},
                  {ANY, AT(done.info), 16 * 1024}},
    [IPC_FAILED] = {{NUMBER, AT(failed.clock_off_ms), UINT64_MAX},
                    {NUMBER, AT(failed.status), 999},
                    {NUMBER, AT(failed.retry_after_s), UINT32_MAX},
                    {NUMBER, AT(failed.flags), IPC_FAILED_FLAGS},
                    {NUMBER, AT(failed.challenge), JOB_CHALLENGE_KINDS - 1},
                    {LINE, AT(failed.type), 127},
                    {LINE, AT(failed.detail), JOB_TEXT_SIZE - 1},
                    {LINE, AT(failed.name), NAME_MAX_BYTES}},
};

static bool has_field(const struct field *f)
{
    return f->offset != 0; /* offset 0 is the type */
}

/* ---- allowed texts */

static bool is_line(struct str text, bool newlines)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if ((c < 0x20 || c > 0x7e) && !(newlines && c == '\n'))
            return false;
    }
    return true;
}

static bool ipc_is_base64url(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

bool ipc_is_nonce(struct str text)
{
    return text.n >= 1 && text.n <= NONCE_MAX && ipc_is_base64url(text);
}

bool ipc_is_token(struct str text)
{
    return text.n >= 1 && text.n <= 128 && ipc_is_base64url(text);
}

bool ipc_same_name(struct str a, struct str b)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr x, y;

    if (str_eq_case(a, b))
        return true;
    return a.n < sizeof text && b.n < sizeof text &&
           inet_pton(AF_INET6, str_copy(text, sizeof text, a), &x) == 1 &&
           inet_pton(AF_INET6, str_copy(text, sizeof text, b), &y) == 1 &&
           memcmp(&x, &y, sizeof x) == 0;
}

bool ipc_is_url(struct str text)
{
    if (!str_starts(text, STR("https://")) || text.n >= JOB_URL_SIZE)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c <= 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>')
            return false;
    }
    return true;
}

bool ipc_is_host(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.n > 0 && text.n <= NAME_MAX_BYTES && text.p[0] != '-' && text.p[0] != '.';
}

static bool ipc_fits(const struct field *f, struct str text)
{
    if (text.n > f->limit)
        return false;
    switch (f->kind) {
    case LINE:
    case LINES:
        return is_line(text, f->kind == LINES);
    case URL:
        return text.n == 0 || ipc_is_url(text);
    case TOKEN:
        return ipc_is_token(text);
    case NONCE:
        return text.n == 0 || ipc_is_nonce(text);
    case HOST:
        return text.n == 0 || ipc_is_host(text);
    default:
        return true;
    }
}

/* ---- encode, decode */

static bool ipc_put(char *out, size_t cap, size_t *at, const void *bytes, size_t n)
{
    if (n > cap - *at)
        return false;
    if (n)
        memcpy(out + *at, bytes, n);
    *at += n;
    return true;
}

static bool ipc_get(const char *packet, size_t size, size_t *at, void *bytes, size_t n)
{
    if (n > size - *at)
        return false;
    memcpy(bytes, packet + *at, n);
    *at += n;
    return true;
}

static bool encode_field(const struct field *f, const struct ipc_message *ask, char *out,
                         size_t cap, size_t *at)
{
    const char *from = (const char *)ask + f->offset;
    uint64_t number;
    struct str text;
    uint32_t n;

    if (f->kind == NUMBER) {
        memcpy(&number, from, sizeof number);
        return number <= f->limit && ipc_put(out, cap, at, &number, sizeof number);
    }
    memcpy(&text, from, sizeof text);
    n = (uint32_t)text.n;
    return ipc_fits(f, text) && ipc_put(out, cap, at, &n, sizeof n) &&
           ipc_put(out, cap, at, text.p, n);
}

size_t ipc_encode(const struct ipc_message *ask, char *out, size_t cap)
{
    uint32_t type = (uint32_t)ask->type;
    size_t at = 0;

    if (type < 1 || type >= IPC_TYPES || !ipc_put(out, cap, &at, &type, sizeof type))
        return 0;
    for (const struct field *f = layout[type]; has_field(f); f++)
        if (!encode_field(f, ask, out, cap, &at))
            return 0;
    return at;
}

static bool decode_field(const struct field *f, struct ipc_message *ask, const char *packet,
                         size_t size, size_t *at)
{
    char *to = (char *)ask + f->offset;
    uint64_t number;
    struct str text;
    uint32_t n;

    if (f->kind == NUMBER) {
        if (!ipc_get(packet, size, at, &number, sizeof number) || number > f->limit)
            return false;
        memcpy(to, &number, sizeof number);
        return true;
    }
    if (!ipc_get(packet, size, at, &n, sizeof n) || n > size - *at)
        return false;
    text = str_make(packet + *at, n);
    *at += n;
    memcpy(to, &text, sizeof text);
    return ipc_fits(f, text);
}

bool ipc_decode(struct ipc_message *ask, const char *packet, size_t n)
{
    size_t at = 0;
    uint32_t type;

    *ask = (struct ipc_message){0};
    if (!ipc_get(packet, n, &at, &type, sizeof type) || type < 1 || type >= IPC_TYPES)
        return false;
    ask->type = (enum ipc_type)type;
    for (const struct field *f = layout[type]; has_field(f); f++)
        if (!decode_field(f, ask, packet, n, &at))
            return false;
    return at == n;
}

/* ---- the socket */

bool ipc_send(int fd, const struct ipc_message *ask, char *scratch)
{
    size_t n = ipc_encode(ask, scratch, IPC_MAX);
    ssize_t sent;

    if (n == 0) {
        errno = EINVAL;
        return false;
    }
    do
        sent = send(fd, scratch, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n;
}

int ipc_recv(int fd, struct ipc_message *ask, char *buffer)
{
    ssize_t got;

    do /* MSG_TRUNC returns the true length, so that truncation is seen */
        got = recv(fd, buffer, IPC_MAX, MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == ECONNRESET ? 0 : -1;
    if (got == 0)
        return 0;
    if (got <= IPC_MAX && ipc_decode(ask, buffer, (size_t)got))
        return 1;
    errno = EPROTO;
    return -1;
}
