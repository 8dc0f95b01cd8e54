/* The environment variables of a process. */
#ifndef BASE_ENVIRONMENT_H
#define BASE_ENVIRONMENT_H

/* Overwrites the value of every variable, except those that libraries read. Settings may be
 * written as ${NAME}, so the environment may hold keys. For processes that need none of them.
 */
void environment_wipe(void);

#endif
