#include "shm/stored_leaf.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf/conf.h"

/* Appends one name as text; what is not a name, or too long for one, is left out. */
static size_t put_name(char *out, const GENERAL_NAME *name)
{
    char text[CONF_HOST_LEN + 1] = "";
    const ASN1_STRING *s = name->type == GEN_DNS     ? name->d.dNSName
                           : name->type == GEN_IPADD ? name->d.iPAddress
                                                     : NULL;
    size_t n = s ? (size_t)ASN1_STRING_length(s) : 0;

    if (name->type == GEN_DNS && n <= CONF_HOST_LEN)
        snprintf(text, sizeof text, "%.*s", (int)n, (const char *)ASN1_STRING_get0_data(s));
    else if (name->type == GEN_IPADD && (n == 4 || n == 16))
        inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text);
    if (!text[0] || (name->type == GEN_DNS && strlen(text) != n))
        return 0;
    memcpy(out, text, strlen(text) + 1);
    return strlen(text) + 1;
}

char *stored_leaf_names(const struct x509_st *cert)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = alt ? sk_GENERAL_NAME_num(alt) : 0;
    char *names = malloc((size_t)n * (CONF_HOST_LEN + 1) + 1), *less;
    size_t at = 0;

    for (int i = 0; names && i < n; i++)
        at += put_name(names + at, sk_GENERAL_NAME_value(alt, i));
    GENERAL_NAMES_free(alt);
    if (!names)
        return NULL;
    names[at] = '\0';
    less = realloc(names, at + 1); /* shrunk, because many are kept */
    return less ? less : names;
}
