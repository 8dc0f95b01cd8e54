/* What a supervisor hands to the binary that it becomes (USR2): one record of fixed size in a
 * sealed memfd, then the texts of the configurations. Private to upgrade.c and upgrade_adopt.c.
 *
 * Only processes of ours write it and read it, and the layout is that of one build: the new
 * binary compares the sizes and versions before it believes anything, and says so in its
 * self-test, before the old one gives way. */
#ifndef SUPERVISOR_UPGRADE_STATE_H
#define SUPERVISOR_UPGRADE_STATE_H

#include <stdint.h>
#include <sys/socket.h>

#include "shm/message.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/supervise.h"

enum {
    UPGRADE_MAGIC = 0x70676174,
    UPGRADE_VERSION = 1,      /* of this record; another version cannot be taken over */
    UPGRADE_GENERATIONS = 16, /* the current one, and those that still drain */
    UPGRADE_LISTENERS = 64,
    UPGRADE_NONE = -1,
};

struct upgrade_process {
    struct child_fsm fsm;
    int32_t slot, pid, control_fd, last_exit;
    int32_t generation, lent_to; /* index in generations, row; or UPGRADE_NONE */
    uint32_t incarnation, restarts, lent_incarnation;
    uint64_t started_wall_ms, next_start_ms;
    uint64_t timer_ms; /* when it is due; 0: not armed */
};

struct upgrade_listener {
    struct sockaddr_storage asked, addr;
    socklen_t addr_len;
    uint32_t dual, n;
    int32_t fd[CONF_MAX_WORKERS];
};

struct upgrade_generation {
    uint32_t number, workers;
    int32_t access_fd;
    uint32_t text_at, text_n; /* of its configuration, after the record */
    struct identity identity;
    struct row_room room;
    uint32_t n_backends;
    uint16_t backend_slot[CONF_MAX_BACKENDS];
    uint32_t n_listen;
    uint32_t listener[CONF_MAX_LISTENERS]; /* index in listeners */
    uint32_t sockets[CONF_MAX_LISTENERS];
};

struct upgrade_state {
    uint32_t magic, version, size, table_version;
    uint64_t table_size;
    struct object object;
    struct table_room_taken room;
    int32_t pidfile_fd;
    char pidfile[PATH_MAX];
    int32_t doorbell[TABLE_WORKERS], doorbell_healthd, doorbell_acmed;
    int32_t oom_at_start;
    uint32_t ready_told, affinity_loaded;
    uint64_t rotation_ms; /* when the ticket keys are due */
    struct ticket_ring tickets;
    uint8_t affinity[MESSAGE_AFFINITY_KEY];
    struct slots slots;
    struct admin_overrides overrides;
    uint32_t n_listeners, n_generations, current;
    struct upgrade_listener listener[UPGRADE_LISTENERS];
    struct upgrade_generation generation[UPGRADE_GENERATIONS];
    struct upgrade_process process[ROWS];
    struct recovery_table recoveries; /* without its pointers */
};

/* Maps the record in fd for reading; n: of the whole memfd. NULL, and why in text, when it is
 * not one of this build. */
enum { UPGRADE_WHY = 256 };
const struct upgrade_state *upgrade_map(int fd, size_t *n, char why[UPGRADE_WHY]);

#endif
