#include "acmed/net/acme_request.h"

#include <arpa/inet.h>
#include <jansson.h>

#include "acmed/net/acme_json.h"

static char *dump(json_t *root)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    return text;
}

static void put_contact(json_t *root, const char *contact)
{
    json_t *list = json_array();

    if (contact[0])
        json_array_append_new(list, json_sprintf("mailto:%s", contact));
    json_object_set_new(root, "contact", list);
}

char *acme_request_new_account(const char *contact, bool agree_tos, bool must_exist,
                               const char *eab)
{
    json_t *root = json_object();

    if (must_exist) {
        json_object_set_new(root, "onlyReturnExisting", json_true());
        return dump(root);
    }
    if (contact[0])
        put_contact(root, contact);
    if (agree_tos)
        json_object_set_new(root, "termsOfServiceAgreed", json_true());
    if (eab && eab[0])
        json_object_set_new(root, "externalAccountBinding", json_loads(eab, 0, NULL));
    return dump(root);
}

char *acme_request_contact(const char *contact)
{
    json_t *root = json_object();

    put_contact(root, contact);
    return dump(root);
}

static bool is_ip(const char *name)
{
    unsigned char ip[16];

    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

char *acme_request_new_order(struct str names, const char *profile, const char *replaces)
{
    json_t *root = json_object(), *list = json_array();

    while (names.n) {
        char name[ACME_IDENTIFIER];
        size_t n = str_index(names, '\n');

        str_copy(name, sizeof name, str_head(names, n));
        names = str_skip(names, n < names.n ? n + 1 : n);
        json_array_append_new(
            list, json_pack("{s:s,s:s}", "type", is_ip(name) ? "ip" : "dns", "value", name));
    }
    json_object_set_new(root, "identifiers", list);
    if (profile && profile[0])
        json_object_set_new(root, "profile", json_string(profile));
    if (replaces && replaces[0])
        json_object_set_new(root, "replaces", json_string(replaces));
    return dump(root);
}

char *acme_request_one(const char *member, const char *value)
{
    return dump(json_pack("{s:s}", member, value));
}

char *acme_request_revoke(const char *certificate, unsigned reason)
{
    return dump(json_pack("{s:s,s:i}", "certificate", certificate, "reason", (int)reason));
}
