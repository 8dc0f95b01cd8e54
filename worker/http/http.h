/*
 * One HTTP request and one HTTP response as plain data, independent of the transport.
 *
 * http/h1.h fills these from HTTP/1.x bytes; a transport of another protocol fills the same
 * structs with what that protocol has, and leaves the rest zero. Everything after that
 * (routing, forwarding, balancing, the log) reads only these. Pure data: usable anywhere in a
 * worker. All slices point into the transport's head buffer, which must not move until the
 * exchange no longer needs them: until the request is routed and logged, as the forwarded head
 * is made at once.
 */
#ifndef WORKER_HTTP_HTTP_H
#define WORKER_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Fields that one head can hold: the limit for a peer (HTTP_FIELDS_LIMIT in http/h1.h: 100) and
 * what pasgate itself adds, so that our output can be parsed again, and one spare. */
#define HTTP_FIELDS_MAX 120

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_CONNECT, /* never leaves the parser: 405 */
    HTTP_TRACE,   /* never leaves the parser: 405 */
    HTTP_OTHER,   /* any other token: neither safe nor idempotent */
};

/* Known field names. HTTP_F_OTHER is 0; ids are < 64 so that a set of them fits one
 * uint64_t. */
enum http_field_id {
    HTTP_F_OTHER,
    HTTP_F_HOST,
    HTTP_F_CONTENT_LENGTH,
    HTTP_F_TRANSFER_ENCODING,
    HTTP_F_CONNECTION,
    HTTP_F_KEEP_ALIVE,
    HTTP_F_PROXY_CONNECTION,
    HTTP_F_TE,
    HTTP_F_TRAILER,
    HTTP_F_UPGRADE,
    HTTP_F_HTTP2_SETTINGS,
    HTTP_F_PROXY,
    HTTP_F_PROXY_AUTHORIZATION,
    HTTP_F_PROXY_AUTHENTICATE,
    HTTP_F_EXPECT,
    HTTP_F_COOKIE,
    HTTP_F_SET_COOKIE,
    HTTP_F_LOCATION,
    HTTP_F_CONTENT_LOCATION,
    HTTP_F_CONTENT_TYPE,
    HTTP_F_CONTENT_ENCODING,
    HTTP_F_AUTHORIZATION,
    HTTP_F_ACCEPT,
    HTTP_F_ACCEPT_ENCODING,
    HTTP_F_ACCEPT_LANGUAGE,
    HTTP_F_USER_AGENT,
    HTTP_F_REFERER,
    HTTP_F_ORIGIN,
    HTTP_F_RANGE,
    HTTP_F_X_FORWARDED_FOR,
    HTTP_F_X_FORWARDED_PROTO,
    HTTP_F_X_FORWARDED_HOST,
    HTTP_F_X_FORWARDED_PORT,
    HTTP_F_X_FORWARDED_OTHER, /* any other X-Forwarded-* (-Server, -Ssl, -Prefix, ...) */
    HTTP_F_FORWARDED,
    HTTP_F_X_REAL_IP,
    HTTP_F_X_REQUEST_ID,
    HTTP_F_DATE,
    HTTP_F_SERVER,
    HTTP_F_RETRY_AFTER,
    HTTP_F_PROXY_STATUS,
    HTTP_F_STRICT_TRANSPORT_SECURITY,
    HTTP_F_SEC_WEBSOCKET_KEY,
    HTTP_F_SEC_WEBSOCKET_VERSION,
    HTTP_F_CONNHDL, /* PASOE APSV connection handle */
    HTTP_F_X_CLIENT_CONTEXT_ID,
    HTTP_F_X_REMOTE_USER, /* the user that HTTP Basic has found */
    HTTP_F_CLIENT_CERT,   /* X-Client-Subject, X-Client-Fingerprint, Client-Cert (RFC 9440) */
    HTTP_F_IDS
};

enum { HTTP_NAME_LONGEST = 25 }; /* bytes of the longest of these names */

struct http_field {
    struct str name;  /* as received */
    struct str value; /* without leading and trailing SP and HTAB; bytes 0x80-0xff are opaque */
    uint8_t id;       /* enum http_field_id */
};

/* How the end of a body is determined. */
enum http_body {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

enum http_target_form {
    HTTP_TARGET_ORIGIN,   /* /path?query */
    HTTP_TARGET_ABSOLUTE, /* http://host/path?query; path is "/" if it was empty */
    HTTP_TARGET_ASTERISK, /* OPTIONS *: pasgate responds itself, path is empty */
};

struct http_request {
    struct str method_name;
    struct str target; /* as received: the access log has it */
    struct str scheme; /* "http" or "https": that of the connection, whatever the target says */
    struct str authority; /* host[:port] of the absolute form, else of Host; empty: HTTP/1.0
                             without Host. The colon of an empty port is removed */
    struct str host;      /* without port and enclosing brackets; compare with str_eq_case */
    struct str path;      /* raw, not yet normalised (http/uri.h) */
    struct str query;     /* with its leading '?'; empty if there was none */
    struct str upgrade; /* the requested token ("websocket") if upgrade_websocket, else empty */
    uint64_t content_length; /* if body is HTTP_BODY_LENGTH (0 is then explicit) */
    uint16_t port;           /* of the authority; 0 if not given */
    uint16_t nfields;
    uint8_t method;        /* enum http_method */
    uint8_t version_major; /* 1 or 2; for the log, Via, and http_request_is_10() */
    uint8_t version_minor; /* HTTP/1: 0 or 1 (1.2 and up count as 1); HTTP/2: 0 */
    uint8_t form;          /* enum http_target_form */
    uint8_t body;          /* enum http_body: NONE (no length given), LENGTH, or CHUNKED: its
                              end is not known before it comes, in whatever form */
    bool keep_alive;       /* HTTP/1, for its transport: the connection is to go on after it */
    bool expect_continue;  /* send 100 before reading the body (RFC 9110 10.1.1) */
    bool upgrade_websocket;
    bool names_in_connection; /* Connection nominates fields: each one must be checked */
    bool raw; /* the target has bytes that are forwarded percent-encoded (http/uri.h) */
    struct http_field fields[HTTP_FIELDS_MAX]; /* only [0, nfields) is set */
};

struct http_response {
    struct str reason;
    struct str upgrade;      /* value of Upgrade if status is 101 */
    uint64_t content_length; /* if has_length: also for HEAD and 304, whose body is NONE */
    uint16_t status;         /* 100..599; 1xx except 101 are interim: another head follows */
    uint16_t nfields;
    uint8_t version_minor;
    uint8_t body; /* enum http_body */
    bool has_length;
    bool keep_alive; /* the backend connection may be kept after the body */
    bool names_in_connection;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* The head of a response as the client is to get it, in no protocol's form: decided by
 * http/headers.h, serialised by the client's transport. Fields of the hop, framing and the
 * client's connection are not among the fields: a transport states these in its own way. It
 * owns nothing, and is valid during the call in which it is given. */
struct http_head {
    const struct http_field *fields; /* [nfields], in this order; all end-to-end */
    struct str reason;               /* for protocols that have a reason phrase */
    uint64_t content_length;         /* if has_length */
    uint16_t status;  /* 100..599; 101: from now on a tunnel, of the protocol "websocket" */
    uint16_t nfields; /* at most HTTP_FIELDS_MAX */
    uint8_t body;     /* enum http_body: NONE, LENGTH, or another one: its length is unknown */
    bool has_length;  /* the length is stated: also to HEAD and with 304, whose body is NONE */
};

/* Is the client one of HTTP/1.0, which knows no chunks, trailers or interim responses? */
static inline bool http_request_is_10(const struct http_request *request)
{
    return request->version_major == 1 && request->version_minor == 0;
}

/* Id of a field name (case-insensitive), HTTP_F_OTHER if it is not a known one. The bytes may
 * be any: only tokens are known, except that X-Forwarded-* is not checked to be one. */
enum http_field_id http_field_lookup(struct str name);

/* Whether the id says that a name is a token, because it is one of the list above. */
static inline bool http_field_is_listed(enum http_field_id id)
{
    return id != HTTP_F_OTHER && id != HTTP_F_X_FORWARDED_OTHER;
}

/* First field with that id, or NULL. */
const struct http_field *http_request_field(const struct http_request *, enum http_field_id id);
const struct http_field *http_response_field(const struct http_response *,
                                             enum http_field_id id);

/* Is it a Max-Forwards field, and how many hops does it allow (RFC 9110 7.6.2)? More than the
 * most that we know of are that many. */
enum { HTTP_HOPS_MOST = 100000000 };
bool http_max_forwards(const struct http_field *, uint32_t *hops);

/* Method of a token; HTTP_OTHER if it is not a known one (methods are case-sensitive). */
enum http_method http_method_lookup(struct str token);

/* GET, HEAD, OPTIONS (RFC 9110 9.2.1): may go to another backend after bytes were sent. */
bool http_method_is_safe(enum http_method method);

/* The safe ones, PUT and DELETE (9.2.2): may be sent again on a fresh connection if a kept one
 * was stale. */
bool http_method_is_idempotent(enum http_method method);

/* Reason phrase of a status code ("Not Found"); "Unknown" for one without a name. */
const char *http_status_text(unsigned status);

/*
 * Splits "host", "host:port", "[v6]", "[v6]:port" strictly (cases 17, 26, 27): no userinfo, no
 * list, no path, port 1..65535. *host is without brackets, *port is 0 if absent or empty
 * ("host:"). False if malformed.
 */
bool http_authority_parse(struct str authority, struct str *host, uint16_t *port);

#endif
