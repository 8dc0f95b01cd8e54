/* Judges a backend's response to a probe. Pure. */
#ifndef HEALTHD_CHECK_HTTP_CHECK_H
#define HEALTHD_CHECK_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_check;

enum { HTTP_CHECK_BODY_MAX = 64 * 1024 }; /* bytes of a response that are kept and judged */

/* Are this status and body what the check asks for? Writes the verdict in plain words to text.
 * n <= HTTP_CHECK_BODY_MAX; `cut`: the body was longer. */
bool http_check_judge(const struct conf_check *check, long status, const char *body, size_t n,
                      bool cut, char text[TABLE_REASON]);

/* Judges the body of PAS's ping service, {"response":{"_retVal":""}}. A text in _retVal is what
 * the application reports as wrong. */
bool http_check_judge_pasoe(const char *body, size_t n, char text[TABLE_REASON]);

/* The score, in thousandths, in a body of the HealthScanner, {"health": 0.96, ...};
 * then also appends it to text. Any other body, JSON or not: HTTP_CHECK_SCORE_FULL,
 * and text is unchanged. */
enum { HTTP_CHECK_SCORE_FULL = 1000 };
uint32_t http_check_score(const char *body, size_t n, char text[TABLE_REASON]);

#endif
