/* The log as the configuration wants it. */
#ifndef SUPERVISOR_LOGGING_H
#define SUPERVISOR_LOGGING_H

struct conf;

/* log_init() with the level and form that conf says. */
void logging_init(const struct conf *conf, const char *process);

#endif
