#include "acmed/cert/ari.h"

#include "base/check.h"

static char *base64url(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;

        if (i + 1 < n)
            three |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < n)
            three |= bytes[i + 2];
        *out++ = digits[three >> 18];
        *out++ = digits[three >> 12 & 63];
        if (i + 1 < n)
            *out++ = digits[three >> 6 & 63];
        if (i + 2 < n)
            *out++ = digits[three & 63];
    }
    return out;
}

char *ari_id(char out[ARI_ID_SIZE], const struct ari_parts *parts)
{
    char *end = out;

    CHECK(parts->n_key_id <= ARI_PART && parts->n_serial <= ARI_PART);
    if (parts->n_key_id > 0 && parts->n_serial > 0) {
        end = base64url(end, parts->key_id, parts->n_key_id);
        *end++ = '.';
        end = base64url(end, parts->serial, parts->n_serial);
    }
    *end = '\0';
    return out;
}
