#include "worker/http/h1_chars.h"

/* Rows of the table: bytes that browsers and others send raw though RFC 3986 wants them
 * encoded; bytes that are only tchar; bytes that are only for targets; sub-delims that are not
 * tchar; those that are; letters with digits. */
#define RAW H1_C_RAW
#define TOK (H1_C_TOKEN | H1_C_QUOTED)
#define TGT (H1_C_TARGET | H1_C_QUOTED)
#define SUB (H1_C_TARGET | H1_C_PATH | H1_C_QUOTED)
#define TSB (SUB | H1_C_TOKEN)
#define ALN (TSB | H1_C_UNRESERVED | H1_C_HOST)

const uint8_t h1_class[256] = {
    ['\t'] = H1_C_QUOTED,
    [' '] = H1_C_QUOTED,
    ['!'] = TSB,
    ['"'] = RAW,
    ['#'] = TOK,
    ['$'] = TSB,
    ['%'] = TOK | TGT,
    ['&'] = TSB,
    ['\''] = TSB,
    ['('] = SUB,
    [')'] = SUB,
    ['*'] = TSB,
    ['+'] = TSB,
    [','] = SUB,
    ['-'] = ALN,
    ['.'] = TSB | H1_C_UNRESERVED,
    ['/'] = SUB,
    ['0' ... '9'] = ALN,
    [':'] = SUB,
    [';'] = SUB,
    ['<'] = H1_C_QUOTED,
    ['='] = SUB,
    ['>'] = H1_C_QUOTED,
    ['?'] = TGT,
    ['@'] = SUB,
    ['A' ... 'Z'] = ALN,
    ['['] = TGT | RAW,
    ['\\'] = RAW,
    [']'] = TGT | RAW,
    ['^'] = TOK | RAW,
    ['_'] = ALN | H1_C_UNDERSCORE,
    ['`'] = TOK | RAW,
    ['a' ... 'z'] = ALN,
    ['{'] = H1_C_QUOTED | RAW,
    ['|'] = TOK | RAW,
    ['}'] = H1_C_QUOTED | RAW,
    ['~'] = TSB | H1_C_UNRESERVED,
    [0x80 ... 0xff] = H1_C_QUOTED | RAW,
};
