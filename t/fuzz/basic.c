/* HTTP Basic: credentials stay within their limits, and lines of a file of users give what
 * crypt(3) can use. The first byte says which of them. */
#include "worker/http/basic.h"
#include "base/conf/users.h"
#include "t/fuzz/fuzz.h"

static void credentials(struct str value)
{
    char buf[BASIC_MAX];
    struct str user, password;

    if (!basic_decode(value, buf, &user, &password))
        return;
    HOLDS(user.n > 0 && user.n <= BASIC_USER_MAX && password.n <= BASIC_PASSWORD_MAX);
    HOLDS(fuzz_inside(user, buf, sizeof buf) && fuzz_inside(password, buf, sizeof buf));
    HOLDS(fuzz_one_line(user) && str_index(user, ':') == user.n);
    HOLDS(!password.n || !memchr(password.p, '\0', password.n));
}

static void line(struct str text)
{
    const char *why = NULL;
    struct str name, hash;

    switch (conf_users_line(text, &name, &hash, &why)) {
    case CONF_USERS_BAD:
        HOLDS(why);
        break;
    case CONF_USERS_USER:
        HOLDS(fuzz_inside(name, text.p, text.n) && fuzz_inside(hash, text.p, text.n));
        HOLDS(name.n && str_index(name, ':') == name.n && fuzz_one_line(name));
        HOLDS(hash.n > 40 && hash.n < 128 && hash.p[0] == '$' && fuzz_one_line(hash));
        HOLDS(str_index(hash, ':') == hash.n);
        break;
    case CONF_USERS_NONE:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy;

    if (!size)
        return 0;
    copy = fuzz_copy(data + 1, size - 1);
    if (*data & 1)
        credentials(str_make(copy, size - 1));
    else
        line(str_make(copy, size - 1));
    free(copy);
    return 0;
}
