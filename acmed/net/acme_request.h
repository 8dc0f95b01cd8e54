/* Writes the requests to a CA (RFC 8555, RFC 9773) as JSON. jansson stays behind this header;
 * acmed's network helper only. Each function returns a text on the heap, which the caller
 * frees; NULL: no memory. Members that are "" or NULL are omitted. */
#ifndef ACMED_NET_ACME_REQUEST_H
#define ACMED_NET_ACME_REQUEST_H

#include <stdbool.h>

#include "base/str.h"

char *acme_request_new_account(const char *contact, bool agree_tos, bool must_exist,
                               const char *eab);
char *acme_request_contact(const char *contact);
char *acme_request_new_order(struct str names, const char *profile, const char *replaces);
char *acme_request_one(const char *member, const char *value); /* {"member":"value"} */
char *acme_request_revoke(const char *certificate, unsigned reason);

#endif
