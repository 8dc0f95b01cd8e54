/* Slots of backends: stable by name, never shared, never lost. */
#include "supervisor/slots.h"

#include "t/unit/tap.h"

static struct slots slots;

int main(void)
{
    const char *abc[] = {"a", "b", "c"}, *cad[] = {"c", "a", "d"}, *b[] = {"b"};
    uint16_t first[3], second[3], third[1], all[TABLE_BACKENDS];
    static char name[TABLE_BACKENDS][TABLE_NAME];
    const char *names[TABLE_BACKENDS];

    ok(slots_acquire(&slots, abc, 3, first), "three names");
    ok(first[0] == 0 && first[1] == 1 && first[2] == 2, "in order, from 0");
    ok(slots_acquire(&slots, cad, 3, second), "another generation, in another order");
    ok(second[0] == 2 && second[1] == 0 && second[2] == 3, "names keep their slots");
    slots_release(&slots, first, 3);
    is_int(slots_find(&slots, "b"), -1, "b is gone");
    is_int(slots_find(&slots, "a"), 0, "a is still there");
    ok(slots_acquire(&slots, b, 1, third) && third[0] == 1, "b comes back to its own slot");
    slots_release(&slots, third, 1);

    /* Fill up: 253 new names need all slots but those of a, c and d; b's old
     * one is the last to be taken. */
    for (int i = 0; i < TABLE_BACKENDS; i++) {
        snprintf(name[i], sizeof name[i], "n%d", i);
        names[i] = name[i];
    }
    ok(!slots_acquire(&slots, names, TABLE_BACKENDS, all), "not enough slots");
    is_int(slots_find(&slots, "n0"), -1, "then nothing was taken");
    is_int(slots.n, 4, "nor used");
    ok(slots_acquire(&slots, names, TABLE_BACKENDS - 3, all), "exactly enough slots");
    is_int(all[TABLE_BACKENDS - 4], 1, "a free slot with a name is used last");
    bool used[TABLE_BACKENDS] = {[0] = true, [2] = true, [3] = true}, twice = false;
    for (int i = 0; i < TABLE_BACKENDS - 3; i++) {
        twice |= used[all[i]];
        used[all[i]] = true;
    }
    ok(!twice, "no slot has two names");
    slots_release(&slots, all, TABLE_BACKENDS - 3);
    slots_release(&slots, second, 3);
    ok(slots_acquire(&slots, names, TABLE_BACKENDS, all), "all slots, when all are free");
    slots_release(&slots, all, TABLE_BACKENDS);
    return done();
}
