/* Judging what a backend answered to a probe: pure. */
#ifndef HEALTHD_CHECK_HTTP_CHECK_H
#define HEALTHD_CHECK_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_check;

enum { HTTP_CHECK_BODY_MAX = 64 * 1024 }; /* bytes of an answer that are kept and looked at */

/* Is this status and body what the check asks for? Writes the verdict in plain
 * words to text. n <= HTTP_CHECK_BODY_MAX; `cut`: there was more. */
bool http_check_judge(const struct conf_check *check, long status, const char *body, size_t n,
                      bool cut, char text[TABLE_REASON]);

/* The body of PAS's ping service: {"response":{"_retVal":""}}. A text in
 * _retVal is what the application says is wrong with it. */
bool http_check_judge_pasoe(const char *body, size_t n, char text[TABLE_REASON]);

/* The score in a body of the HealthScanner, {"health": 0.96, ...}, in thousandths; adds it to
 * the text then. Any other body, not JSON too: HTTP_CHECK_SCORE_FULL, and text as it was. */
enum { HTTP_CHECK_SCORE_FULL = 1000 };
uint32_t http_check_score(const char *body, size_t n, char text[TABLE_REASON]);

#endif
