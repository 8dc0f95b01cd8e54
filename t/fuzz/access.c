/* The access log's lines: bounded, one line each, valid JSON and UTF-8 whatever a peer sends.
 * The input's first bytes choose lengths; the rest are the texts. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "worker/log/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str take(const char **p, size_t *n, size_t share)
{
    size_t len = *n * share / 256;
    struct str s = {*p, len};

    *p += len;
    *n -= len;
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;
    const char *p = (const char *)data + 8;
    size_t n = size - 8;
    char *out = malloc(ACCESS_LINE_MAX); /* exact, so that ASan sees one byte too many */
    struct access_record r = {
        .start_wall_ms = (uint64_t)data[0] << (data[1] % 64),
        .status = data[2],
        .end = data[3] & 7,
        .phase = data[3] >> 4,
        .version_major = data[4] & 3,
    };

    r.method = take(&p, &n, data[5]);
    r.host = take(&p, &n, data[6]);
    r.user_agent = take(&p, &n, data[7]);
    r.referer = r.user_agent;
    r.target = r.request_id = str_make(p, n);

    size_t len = access_format(out, ACCESS_LINE_MAX, CONF_ACCESS_JSON, data[0], &r);
    json_t *json = json_loadb(out, len, 0, NULL);
    CHECK(json && len <= ACCESS_LINE_MAX);
    json_decref(json);
    for (int combined = 0; combined < 2; combined++) {
        if (combined)
            len = access_format(out, ACCESS_LINE_MAX, CONF_ACCESS_COMBINED, data[0], &r);
        CHECK(len > 0 && len <= ACCESS_LINE_MAX && memchr(out, '\n', len) == out + len - 1);
        for (size_t i = 0; i < len - 1; i++)
            CHECK((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
    }
    free(out);
    return 0;
}
