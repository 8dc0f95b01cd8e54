/* conf/expand.c - see conf/expand.h. */
#include "base/conf/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define NAME_LEN 127 /* bytes in the name of a variable */

static size_t name_span(const char *s)
{
    size_t n = 0;
    while (ascii_is_alpha((unsigned char)s[n]) || s[n] == '_' ||
           (n > 0 && ascii_is_digit((unsigned char)s[n])))
        n++;
    return n;
}

static bool conf_expand_append(char *out, size_t cap, size_t *used, const char *p, size_t n)
{
    if (n >= cap - *used)
        return false;
    memcpy(out + *used, p, n);
    *used += n;
    return true;
}

/* Expands one "${...}" at `in` into *value. Returns its length in the input; 0 on error. */
static size_t variable(const char *in, struct str *value, char *why, size_t why_cap)
{
    char name[NAME_LEN + 1];
    const char *begin = in + 2, *end = strchr(begin, '}');
    size_t n = name_span(begin);

    if (!end || n == 0 || n > NAME_LEN ||
        (begin[n] != '}' && strncmp(begin + n, ":-", 2) != 0)) {
        snprintf(why, why_cap,
                 "\"%.40s\" is not a variable; write ${NAME}, ${NAME:-text}, or $${ for the "
                 "two characters",
                 in);
        return 0;
    }
    str_copy(name, sizeof name, str_make(begin, n));
    const char *env = getenv(name);
    if (begin[n] == ':')
        *value = env && *env ? str_from(env) : str_span(begin + n + 2, end);
    else if (env)
        *value = str_from(env);
    else {
        snprintf(why, why_cap,
                 "environment variable %s is not set; set it, or write ${%s:-text} to give a "
                 "default",
                 name, name);
        return 0;
    }
    return (size_t)(end + 1 - in);
}

bool conf_expand(const char *in, char *out, size_t cap, char *why, size_t why_cap)
{
    size_t used = 0, take;

    for (; *in; in += take) {
        struct str add = str_make(in, 1);
        take = 1;
        if (strncmp(in, "$${", 3) == 0) {
            add = str_make(in + 1, 2);
            take = 3;
        } else if (strncmp(in, "${", 2) == 0) {
            take = variable(in, &add, why, why_cap);
            if (take == 0)
                return false;
        }
        if (add.n && !conf_expand_append(out, cap, &used, add.p, add.n)) {
            snprintf(why, why_cap, "longer than %zu bytes; shorten it", cap - 1);
            return false;
        }
    }
    out[used] = '\0';
    return true;
}
