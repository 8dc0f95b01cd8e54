/* conf/type_text.c - how strings, names, addresses and paths are read and printed; see
 * conf/type.h. */
#include "base/conf/type.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

#include "base/conf/arena.h"
#include "base/conf/source.h"
#include "base/conf/value.h"
#include "base/str.h"

#define SOCKET_PORT 80  /* of a backend without one, where a URL or Host field needs it */
#define STRING_MAX  255 /* bytes, where a row says nothing else */

#define FIELD(type, p) (*(type *)(p))

void conf_print_string(const char *s, FILE *out)
{
    putc('"', out);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putc('\\', out);
        else if (s[0] == '$' && s[1] == '{')
            putc('$', out);
        putc(*s, out);
    }
    putc('"', out);
}

/* The checks for every string. An empty one is handled here: true with *out "", or an error. */
static bool string(struct conf_cell *cell, const char *text, const char **out)
{
    size_t n = strlen(text), max = STRING_MAX;

    if (!(cell->row->flags & LIST) && cell->row->max)
        max = (size_t)cell->row->max;
    if (n == 0 && !(cell->row->flags & OPTIONAL))
        return conf_wrong(cell, "is empty; write %s", cell->row->kind->syntax);
    if (n > max)
        return conf_wrong(cell, "is longer than %zu bytes; shorten it", max);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return conf_wrong(cell, "contains a control character; write plain text");
    }
    *out =
        conf_arena_strdup(cell->row->kind == &conf_secret ? cell->secrets : cell->arena, text);
    return true;
}

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)ascii_lower((unsigned char)*s);
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (i == 0 || !strchr("._-", c)))
            return false;
    }
    return n > 0 && n <= CONF_NAME_LEN;
}

static bool is_any_host(const char *s)
{
    return conf_is_host(s, true);
}

static bool is_plain_host(const char *s)
{
    return conf_is_host(s, false);
}

static bool is_route_path(const char *s)
{
    return conf_is_path(s, false) && strlen(s) <= CONF_PATH_LEN;
}

static bool is_check_path(const char *s)
{
    return conf_is_path(s, true);
}

static bool is_url(const char *s)
{
    size_t scheme = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;
    return scheme && s[scheme] && !strpbrk(s, " \"<>\\^`{|}");
}

static bool is_email(const char *s)
{
    const char *at = strchr(s, '@');
    return at && at != s && conf_is_host(at + 1, false) && !strpbrk(s, " ,;<>\"\\");
}

static bool is_method(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    return !s[n] && n <= CONF_METHOD_LEN && strcmp(s, "CONNECT") != 0 &&
           strcmp(s, "TRACE") != 0 && strcmp(s, "PRI") != 0;
}

/* OpenSSL checks the names; this only refuses text that cannot be a list of them. */
static bool is_cipher_list(const char *s)
{
    return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                       "-_:+!@=.?*/,")] == '\0';
}

static bool conf_type_text_is_text(const char *s)
{
    (void)s;
    return true;
}

static void print_string(const struct conf_setting *row, const void *field, FILE *out)
{
    (void)row;
    conf_print_string(FIELD(const char *const, field), out);
}

#define STRING_KIND(id, holds, what, right)                                       \
    static bool read_##id(struct conf_cell *cell, const char *text, void *field)  \
    {                                                                             \
        if (*text && !holds(text))                                                \
            return conf_wrong_kind(cell, text);                                   \
        return string(cell, text, field);                                         \
    }                                                                             \
    const struct conf_kind conf_##id = {what,          right,     sizeof(char *), \
                                        ACCEPT_STRING, read_##id, print_string};

STRING_KIND(string, conf_type_text_is_text, "a text", "a text in quotes")
STRING_KIND(name, is_name, "a name",
            "letters, digits, \".\", \"_\" and \"-\", at most 63, a letter or digit first")
STRING_KIND(urlpath, is_route_path, "a path",
            "\"/\" or \"/name\", without a slash at its end, \"//\", \"..\" or a query")
STRING_KIND(method, is_method, "a method",
            "\"GET\" or \"PROPFIND\", in upper case, at most 32 bytes, not CONNECT or TRACE")
STRING_KIND(checkpath, is_check_path, "a path", "\"/path\" or \"/path?query\"")
STRING_KIND(url, is_url, "a URL", "\"https://host/path\"")
STRING_KIND(email, is_email, "an email address", "\"name@example.com\"")
STRING_KIND(ciphers, is_cipher_list, "an OpenSSL list", "names with \":\" between them")

static bool read_lower(struct conf_cell *cell, const char *text, void *field,
                       bool (*holds)(const char *))
{
    char low[CONF_HOST_LEN + 3];

    if (*text && (strlen(text) >= sizeof low || !holds(text)))
        return conf_wrong_kind(cell, text);
    lower(strcpy(low, text));
    return string(cell, low, field);
}

static bool read_host(struct conf_cell *cell, const char *text, void *field)
{
    return read_lower(cell, text, field, is_plain_host);
}

/* An IPv6 address can be written in several ways. It is stored in the form of RFC 5952, so that
 * all other code can compare texts, and because CAs require that form. */
static bool read_cert_name(struct conf_cell *cell, const char *text, void *field)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr v6;

    if (inet_pton(AF_INET6, text, &v6) == 1 &&
        inet_ntop(AF_INET6, &v6, address, sizeof address))
        return string(cell, address, field);
    return read_lower(cell, text, field, is_any_host);
}

static bool read_host_any(struct conf_cell *cell, const char *text, void *field)
{
    return read_lower(cell, text, field, is_any_host);
}

static bool read_secret(struct conf_cell *cell, const char *text, void *field)
{
    return string(cell, text, &FIELD(const char *, field));
}

/* Prints only the part before a colon, which is a name; "***" replaces the rest. */
static void print_secret(const struct conf_setting *row, const void *field, FILE *out)
{
    const char *secret = FIELD(const char *const, field), *colon = strchr(secret, ':');
    char shown[CONF_STRING_LEN + 1];

    (void)row;
    snprintf(shown, sizeof shown, "%.*s%s", colon ? (int)(colon + 1 - secret) : 0, secret,
             *secret ? "***" : "");
    conf_print_string(shown, out);
}

const struct conf_kind conf_secret = {"a text",      "a text in quotes", sizeof(char *),
                                      ACCEPT_STRING, read_secret,        print_secret};

const struct conf_kind conf_host = {
    "a host name",  "\"www.example.com\", a name that is not ASCII in its xn-- form",
    sizeof(char *), ACCEPT_STRING,
    read_host,      print_string};
const struct conf_kind conf_host_any = {
    "a host name",
    "\"www.example.com\" or \"*.example.com\", a name that is not ASCII in its xn-- form",
    sizeof(char *),
    ACCEPT_STRING,
    read_host_any,
    print_string};

const struct conf_kind conf_cert_name = {
    "a host name or an address",
    "\"www.example.com\", \"*.example.com\", \"192.0.2.7\" or \"2001:db8::7\", a name that is "
    "not ASCII in its xn-- form",
    sizeof(char *),
    ACCEPT_STRING,
    read_cert_name,
    print_string};

static bool conf_type_text_read_file(struct conf_cell *cell, const char *text, void *field)
{
    char path[PATH_MAX];

    if (*text && !conf_source_path_from(cell->file, text, true, path, sizeof path))
        return conf_wrong(cell, "\"%.*s\" is too long for a path", CONF_SHOWN, text);
    return string(cell, *text ? path : text, field);
}

const struct conf_kind conf_file = {"a path",      "the path of a file",     sizeof(char *),
                                    ACCEPT_STRING, conf_type_text_read_file, print_string};

static const struct {
    const char *name, *url;
} directories[] = {
    {"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
    {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
};

static bool read_directory(struct conf_cell *cell, const char *text, void *field)
{
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        if (strcmp(text, directories[i].name) == 0)
            text = directories[i].url;
    }
    if (*text && (!is_url(text) || strncmp(text, "https://", 8) != 0))
        return conf_wrong_kind(cell, text);
    return string(cell, text, field);
}

const char *conf_staging_of(const char *directory)
{
    return strcmp(directory, directories[0].url) == 0 ? directories[1].url : "";
}

const struct conf_kind conf_directory = {
    "an ACME directory", "\"letsencrypt\", \"letsencrypt-staging\" or \"https://host/path\"",
    sizeof(char *),      ACCEPT_STRING,
    read_directory,      print_string};

static bool read_staging(struct conf_cell *cell, const char *text, void *field)
{
    if (strcmp(text, "off") == 0 || strcmp(text, "auto") == 0)
        return string(cell, text, field);
    return read_directory(cell, text, field);
}

static void print_staging(const struct conf_setting *row, const void *field, FILE *out)
{
    const char *url = FIELD(const char *const, field);

    (void)row;
    conf_print_string(*url ? url : "off", out);
}

const struct conf_kind conf_staging = {
    "an ACME directory", "\"auto\", \"off\" or \"https://host/path\"",
    sizeof(char *),      ACCEPT_STRING,
    read_staging,        print_staging};

static bool read_resolver(struct conf_cell *cell, const char *text, void *field)
{
    char host[CONF_HOST_LEN + 1];
    struct in_addr address;
    uint16_t port;

    if (*text &&
        (!conf_parse_hostport(text, host, &port) || inet_pton(AF_INET, host, &address) != 1))
        return conf_wrong_kind(cell, text);
    return string(cell, text, field);
}

const struct conf_kind conf_resolver = {"the address of a DNS server",
                                        "\"192.0.2.53:53\", an IPv4 address with a port",
                                        sizeof(char *),
                                        ACCEPT_STRING,
                                        read_resolver,
                                        print_string};

static bool read_challenge(struct conf_cell *cell, const char *text, void *field)
{
    if (strcmp(text, "http-01") != 0 && strcmp(text, "tls-alpn-01") != 0 &&
        strcmp(text, "dns-01") != 0)
        return conf_wrong_kind(cell, text);
    return string(cell, text, field);
}

const struct conf_kind conf_challenge = {
    "an ACME challenge", "\"http-01\", \"tls-alpn-01\" or \"dns-01\"",
    sizeof(char *),      ACCEPT_STRING,
    read_challenge,      print_string};

/* ---- addresses */

static bool read_listener(struct conf_cell *cell, const char *text, void *field)
{
    struct conf_listen *l = field;
    return conf_parse_listen(text, l) ? string(cell, text, &l->address)
                                      : conf_wrong_kind(cell, text);
}

static void print_listener(const struct conf_setting *row, const void *field, FILE *out)
{
    (void)row;
    conf_print_string(((const struct conf_listen *)field)->address, out);
}

const struct conf_kind conf_listener = {
    "an address to listen on",
    "\"*:443\", \"127.0.0.1:8080\" or \"[::1]:8080\", with a port from 1 to 65535",
    sizeof(struct conf_listen),
    ACCEPT_STRING,
    read_listener,
    print_listener};

static bool read_socket(struct conf_cell *cell, const char *path, struct conf_backend *b)
{
    char absolute[PATH_MAX];

    if (!*path)
        return conf_wrong(cell, "\"unix:\" has no path; write \"unix:/run/pas1.sock\"");
    if (!conf_source_path_from(cell->file, path, true, absolute, sizeof absolute) ||
        strlen(absolute) > CONF_SOCKET_LEN)
        return conf_wrong(cell,
                          "\"unix:%.*s\" is too long: the path of a socket has at most %d "
                          "bytes; write a shorter one",
                          CONF_SHOWN, path, CONF_SOCKET_LEN);
    if (!string(cell, absolute, &b->socket))
        return false;
    b->host = "localhost";
    b->port = SOCKET_PORT;
    return true;
}

static bool read_backend(struct conf_cell *cell, const char *text, void *field)
{
    struct conf_backend *b = field;
    char host[CONF_HOST_LEN + 1];

    if (strncmp(text, "unix:", 5) == 0)
        return read_socket(cell, text + 5, b);
    if (!conf_parse_hostport(text, host, &b->port))
        return conf_wrong_kind(cell, text);
    b->host = conf_arena_strdup(cell->arena, host);
    return true;
}

static void print_backend(const struct conf_setting *row, const void *field, FILE *out)
{
    char text[CONF_ADDRESS_LEN];

    (void)row;
    conf_print_string(conf_backend_address(field, text), out);
}

const struct conf_kind conf_hostport = {
    "the address of a backend",
    "\"pas1:8810\", \"10.0.0.7:8810\" or \"[fd00::7]:8810\", with a port from 1 to 65535, or "
    "\"unix:/run/pas1.sock\"",
    sizeof(struct conf_backend),
    ACCEPT_STRING,
    read_backend,
    print_backend};

static bool read_network(struct conf_cell *cell, const char *text, void *field)
{
    return conf_parse_network(text, field) || conf_wrong_kind(cell, text);
}

static void print_network(const struct conf_setting *row, const void *field, FILE *out)
{
    char buf[INET6_ADDRSTRLEN + 8];
    (void)row;
    fprintf(out, "\"%s\"", conf_format_network(field, buf, sizeof buf));
}

const struct conf_kind conf_network = {
    "a network",
    "\"10.0.0.0/8\" or \"fd00::/8\", with no bit set behind the length",
    sizeof(struct conf_prefix),
    ACCEPT_STRING,
    read_network,
    print_network};

static bool read_client(struct conf_cell *cell, const char *text, void *field)
{
    return conf_parse_client(text, field) || conf_wrong_kind(cell, text);
}

static void print_client(const struct conf_setting *row, const void *field, FILE *out)
{
    char buf[INET6_ADDRSTRLEN + 16];
    (void)row;
    fprintf(out, "\"%s\"", conf_format_client(field, buf, sizeof buf));
}

const struct conf_kind conf_client = {"a rule for clients",
                                      "\"allow 10.0.0.0/8\", \"deny fd00::/8\" or \"deny "
                                      "all\", with no bit set behind the length",
                                      sizeof(struct conf_client),
                                      ACCEPT_STRING,
                                      read_client,
                                      print_client};

static bool read_status(struct conf_cell *cell, const char *text, void *field)
{
    return conf_parse_status(text, field) || conf_wrong_kind(cell, text);
}

static void print_status(const struct conf_setting *row, const void *field, FILE *out)
{
    const struct conf_status_range *r = field;
    (void)row;
    if (r->low == r->high)
        fprintf(out, "\"%u\"", r->low);
    else
        fprintf(out, "\"%u-%u\"", r->low, r->high);
}

const struct conf_kind conf_status = {"a range of status codes",
                                      "\"200-399\" or 200, within 100 to 599",
                                      sizeof(struct conf_status_range),
                                      ACCEPT_STRING | ACCEPT_NUMBER,
                                      read_status,
                                      print_status};

/* ---- where the access log goes */

static const struct conf_choice access_words[] = {
    {"off", CONF_ACCESS_OFF, 0},
    {"stdout", CONF_ACCESS_STDOUT, 0},
    {"stderr", CONF_ACCESS_STDERR, 0},
    {"syslog", CONF_ACCESS_SYSLOG, 0},
    {NULL, 0, 0},
};

static bool read_access(struct conf_cell *cell, const char *text, void *field)
{
    struct conf_log *log = field;

    log->access_file = "";
    for (const struct conf_choice *c = access_words; c->name; c++) {
        if (strcmp(c->name, text) == 0) {
            log->access = c->value;
            return true;
        }
    }
    if (!strchr(text, '/'))
        return conf_wrong_kind(cell, text);
    log->access = CONF_ACCESS_FILE;
    return conf_type_text_read_file(cell, text, &log->access_file);
}

static void print_access(const struct conf_setting *row, const void *field, FILE *out)
{
    const struct conf_log *log = field;
    (void)row;
    conf_print_string(log->access == CONF_ACCESS_FILE
                          ? log->access_file
                          : conf_choice_name(access_words, log->access),
                      out);
}

const struct conf_kind conf_access = {
    "a destination for the access log",
    "\"stdout\", \"stderr\", \"syslog\", \"off\" or a path with a slash in it",
    sizeof(struct conf_log),
    ACCEPT_STRING,
    read_access,
    print_access};
