/* Names of the backend in response fields become the public ones, and sessions get their tags.
 */
#include "worker/http/public_names.h"
#include "t/unit/heads.h"
#include "worker/http/affinity.h"

/* One field of the backend's as the client gets it. */
static void mapped(const char *field, const char *want, struct headers_info info)
{
    char text[512];
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n", field);
    parse_response(text);
    response(info);
    char *end = strstr(buf, "\r\nVia:");
    if (end)
        *end = '\0';
    is_str(strlen(buf) > 17 ? buf + 17 : "", want, "%.*s", (int)strcspn(field, "\r"), field);
}

static void test_location(void)
{
    const struct headers_info i = {BACKEND_INFO};
    struct headers_info plain = i, root = i, to_root = i, port = i;

    mapped("Location: /web/x", "Location: /pas/x", i);
    mapped("Location: /web", "Location: /pas", i);
    mapped("Location: /web?a=/web", "Location: /pas?a=/web", i);
    mapped("Location: /web#a", "Location: /pas#a", i);
    mapped("Location: /web;j=1/x", "Location: /pas;j=1/x", i);
    mapped("Location: /webx", "Location: /webx", i);
    mapped("Location: /other", "Location: /other", i);
    mapped("Location: x/y", "Location: x/y", i);
    mapped("Location: ?q", "Location: ?q", i);
    mapped("Location:", "Location: ", i);
    mapped("Location: http://pas1:8810/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: http://pas1/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: HTTP://PAS1:8810", "Location: https://shop.test", i);
    mapped("Location: http://pas1:9999/web", "Location: http://pas1:9999/web", i);
    mapped("Location: http://shop.test/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: https://shop.test/web?q", "Location: https://shop.test/pas?q", i);
    mapped("Location: http://shop.test:8080/web", "Location: http://shop.test:8080/web", i);
    mapped("Location: //shop.test/web", "Location: //shop.test/pas", i);
    mapped("Location: http://else.test/web", "Location: http://else.test/web", i);
    mapped("Location: http://shop.test.evil/web", "Location: http://shop.test.evil/web", i);
    mapped("Location: http://shop.test@evil/web", "Location: http://shop.test@evil/web", i);
    mapped("Location: mailto:a@b", "Location: mailto:a@b", i);
    mapped("Content-Location: /web/y", "Content-Location: /pas/y", i);
    mapped("Refresh: 0;/web", "Refresh: 0;/web", i);

    plain.tls = false;
    mapped("Location: https://shop.test/web/x", "Location: https://shop.test/web/x", plain);
    mapped("Location: http://shop.test/web/x", "Location: http://shop.test/pas/x", plain);
    port.public_authority = STR("shop.test:8443");
    mapped("Location: http://shop.test:8443/web/", "Location: https://shop.test:8443/pas/",
           port);
    mapped("Location: https://shop.test/web/", "Location: https://shop.test/web/", port);
    root.prefix = STR_EMPTY;
    mapped("Location: /web", "Location: /", root);
    mapped("Location: /web/x", "Location: /x", root);
    mapped("Location: /web?q", "Location: /?q", root);
    to_root.upstream_path = STR_EMPTY;
    mapped("Location: /x", "Location: /pas/x", to_root);
    mapped("Location: /", "Location: /pas/", to_root);
}

static void test_cookie(void)
{
    const struct headers_info i = {BACKEND_INFO};
    struct headers_info root = i, to_root = i;

    mapped("Set-Cookie: test=succeeded; Domain=localhost; Path=/web; HttpOnly",
           "Set-Cookie: test=succeeded; Path=/pas; HttpOnly", i);
    mapped("Set-Cookie: a=b;path=/web/x;domain=.PAS1", "Set-Cookie: a=b; Path=/pas/x", i);
    mapped("Set-Cookie: a=b; Path=\"/web\"", "Set-Cookie: a=b; Path=/pas", i);
    mapped("Set-Cookie: a=b; Path=/", "Set-Cookie: a=b; Path=/", i);
    mapped("Set-Cookie: a=b; Path=/webx", "Set-Cookie: a=b; Path=/webx", i);
    mapped("Set-Cookie: a=b; Domain=shop.test", "Set-Cookie: a=b; Domain=shop.test", i);
    mapped("Set-Cookie: a=Path=/web; Expires=Wed, 01 Jan 2030 00:00:00 GMT",
           "Set-Cookie: a=Path=/web; Expires=Wed, 01 Jan 2030 00:00:00 GMT", i);
    mapped("Set-Cookie: Path=/web; Secure", "Set-Cookie: Path=/web; Secure", i);
    mapped("Set-Cookie: a=b;; ;Path", "Set-Cookie: a=b;; ;Path", i);
    mapped("Set-Cookie: a=b; Path=/web\r\nSet-Cookie: c=d; Path=/web/e",
           "Set-Cookie: a=b; Path=/pas\r\nSet-Cookie: c=d; Path=/pas/e", i);
    root.prefix = STR_EMPTY;
    mapped("Set-Cookie: a=b; Path=/web", "Set-Cookie: a=b; Path=/", root);
    to_root.upstream_path = STR_EMPTY;
    mapped("Set-Cookie: a=b; Path=/", "Set-Cookie: a=b; Path=/pas", to_root);
}

static struct affinity_key tags;

/* `text` with the tag of the session in it at the '@'. */
static const char *tagged(const char *text, const char *session)
{
    static char out[512];
    int at = (int)strcspn(text, "@");
    char tag[AFFINITY_TAG];

    affinity_tag(tag, &tags, 7, str_from(session));
    snprintf(out, sizeof out, "%.*s%.*s%s", at, text, AFFINITY_TAG, tag, text + at + 1);
    return out;
}

static void test_tags(void)
{
    static const uint8_t secret[AFFINITY_KEY] = {1, 2, 3};
    struct headers_info i = {BACKEND_INFO};

    mapped("Set-Cookie: JSESSIONID=A.as-pas", "Set-Cookie: JSESSIONID=A.as-pas", i);
    tags = affinity_key(secret);
    i.tag_key = &tags;
    i.tag_id = 7;
    mapped("Set-Cookie: JSESSIONID=A.as-pas; Path=/web; HttpOnly",
           tagged("Set-Cookie: JSESSIONID=A.as-pas@; Path=/pas; HttpOnly", "A.as-pas"), i);
    mapped("Set-Cookie: JSESSIONID = \"A\" ;Secure",
           tagged("Set-Cookie: JSESSIONID = \"A@\" ;Secure", "A"), i);
    mapped("Set-Cookie: JSESSIONID=; Max-Age=0", "Set-Cookie: JSESSIONID=; Max-Age=0", i);
    mapped("Set-Cookie: JSESSIONIDSSO=A", "Set-Cookie: JSESSIONIDSSO=A", i);
    mapped("Set-Cookie: a=JSESSIONID=A", "Set-Cookie: a=JSESSIONID=A", i);
    mapped("Location: /web/x;jsessionid=A?b", tagged("Location: /pas/x;jsessionid=A@?b", "A"),
           i);
    mapped("Location: /x;a=1;jsessionid=A/y", tagged("Location: /x;a=1;jsessionid=A@/y", "A"),
           i);
    mapped("Location: http://pas1:8810/web;jsessionid=A",
           tagged("Location: https://shop.test/pas;jsessionid=A@", "A"), i);
    mapped("Location: http://other.test/web;jsessionid=A",
           "Location: http://other.test/web;jsessionid=A", i);
    mapped("Location: /web/x?;jsessionid=A", "Location: /pas/x?;jsessionid=A", i);
    mapped("Location: /web/x;jsessionid=", "Location: /pas/x;jsessionid=", i);
}

int main(void)
{
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    test_location();
    test_cookie();
    test_tags();
    return done();
}
