/* The two JSON files of an account, as certbot writes them. */
#include <jansson.h>
#include <stdio.h>

#include "acmed/cert/certbot_internal.h"
#include "acmed/key/jose.h"
#include "acmed/key/secret.h"

/* Input is the operator's own files: small, and at most 3 levels deep. */
static json_t *certbot_json_load(struct str text)
{
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

static struct str member(const json_t *object, const char *name)
{
    return str_from(json_string_value(json_object_get(object, name)));
}

static char *certbot_json_key_of(const json_t *root, size_t *n)
{
    const struct jose_jwk jwk = {
        .kty = member(root, "kty"),
        .crv = member(root, "crv"),
        .x = member(root, "x"),
        .y = member(root, "y"),
        .d = member(root, "d"),
        .n = member(root, "n"),
        .e = member(root, "e"),
        .p = member(root, "p"),
        .q = member(root, "q"),
        .dp = member(root, "dp"),
        .dq = member(root, "dq"),
        .qi = member(root, "qi"),
    };
    return jose_key_from_jwk(&jwk, n);
}

char *certbot_json_key(struct str text, size_t *n)
{
    json_malloc_t before_new;
    json_free_t before_free;
    json_t *root;
    char *pem;

    json_get_alloc_funcs(&before_new, &before_free);
    json_set_alloc_funcs(secret_new, secret_free);
    root = certbot_json_load(text);
    pem = root ? certbot_json_key_of(root, n) : NULL;
    json_decref(root);
    json_set_alloc_funcs(before_new, before_free);
    return pem;
}

bool certbot_json_url(struct str text, char *url, size_t cap)
{
    json_t *root = certbot_json_load(text);
    struct str found = root ? member(root, "uri") : (struct str){0};
    bool good = found.n > 0 && found.n < cap && str_starts(found, STR("https://"));

    for (size_t i = 0; i < found.n; i++)
        good &= (unsigned char)found.p[i] > 0x20 && (unsigned char)found.p[i] < 0x7f;
    if (good)
        str_copy(url, cap, found);
    json_decref(root);
    return good;
}
