/* Writes a wrong value into the table of a running pasgate, as a stray write would:
 *
 *     table-poke PIDFILE port SLOT PORT         health row: where workers connect
 *     table-poke PIDFILE moved SLOT PORT        the same, written as healthd writes it
 *     table-poke PIDFILE weight SLOT N          backend row
 *     table-poke PIDFILE override SLOT N        admin row: the override
 *     table-poke PIDFILE used SLOT 1            backend row: as if it were configured
 *     table-poke PIDFILE child ROW STATE        child row
 *     table-poke PIDFILE cert INDEX N           certificate row: its generation
 *     table-poke PIDFILE in_flight SLOT N ROW   a worker's cell
 *     table-poke PIDFILE odd SLOT 0             health row: as if half-written
 *     table-poke PIDFILE seq SLOT 0             prints its sequence counter */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/table.h"

int main(int argc, char **argv)
{
    char name[TABLE_OBJECT_NAME];

    if (argc < 5)
        return 2;
    int fd = shm_open(table_object_name(name, argv[1]), O_RDWR, 0);
    struct table *table =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED) {
        perror(name);
        return 1;
    }
    int slot = atoi(argv[3]), value = atoi(argv[4]), row = argc > 5 ? atoi(argv[5]) : 0;
    struct sockaddr_in *address = (void *)&table->health[slot].row.address;

    if (strcmp(argv[2], "port") == 0)
        address->sin_port = htons((uint16_t)value);
    else if (strcmp(argv[2], "moved") == 0) {
        seq_write_begin(&table->health[slot].seq);
        address->sin_port = htons((uint16_t)value);
        seq_write_end(&table->health[slot].seq);
    } else if (strcmp(argv[2], "weight") == 0)
        table->backend[slot].row.weight = (uint16_t)value;
    else if (strcmp(argv[2], "override") == 0)
        table->admin[slot].row.override = (uint8_t)value;
    else if (strcmp(argv[2], "used") == 0)
        table->backend[slot].row.used = table->backend[slot].row.configured = (uint8_t)value;
    else if (strcmp(argv[2], "child") == 0)
        table->child[slot].row.state = (uint8_t)value;
    else if (strcmp(argv[2], "cert") == 0)
        table->cert[slot].row.generation = (uint32_t)value;
    else if (strcmp(argv[2], "in_flight") == 0)
        atomic_store(&table->worker[row].in_flight[slot], (uint32_t)value);
    else if (strcmp(argv[2], "odd") == 0)
        atomic_fetch_or(&table->health[slot].seq.n, 1);
    else if (strcmp(argv[2], "seq") == 0)
        printf("%u\n", (unsigned)atomic_load(&table->health[slot].seq.n));
    else
        return 2;
    return 0;
}
