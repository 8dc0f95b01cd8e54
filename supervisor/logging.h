/* Log settings from the configuration. */
#ifndef SUPERVISOR_LOGGING_H
#define SUPERVISOR_LOGGING_H

struct conf;

/* Calls log_init() with the configured level and format. */
void logging_init(const struct conf *conf, const char *process);

#endif
