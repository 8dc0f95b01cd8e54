/* Incidents: their ids, their folders, and how many are kept. */
#include "supervisor/backend/incident.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/unit-incident.XXXXXX", store[64];
static struct identity self; /* change = false: the folder is STORE/state */

static void test_ids(void)
{
    char id[TABLE_INCIDENT], other[TABLE_INCIDENT];
    int year, day, hour;

    incident_id(id, "pas2", 7);
    ok(sscanf(id, "%8dT%2d%4d-pas2-7", &year, &day, &hour) == 3 && strlen(id) == 22,
       "time, name, number: %s", id);
    incident_id(id, "a-name-that-is-much-longer-than-there-is-room-for", 4294967295U);
    ok(strlen(id) < TABLE_INCIDENT && strcmp(id + strlen(id) - 11, "-4294967295") == 0,
       "a long name is cut, the number never: %s", id);
    incident_id(id, "pas1", 8);
    incident_id(other, "pas1", 9);
    ok(strcmp(id, other) != 0, "two of one second differ");
}

static int count(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n - 2;
}

static void test_folders(void)
{
    char dir[HERITAGE_DIR], path[HERITAGE_DIR + 16], id[TABLE_INCIDENT];
    struct stat st;

    incident_dir(dir, "20260101T000000-pas1-0", "", &self);
    is_str(dir, "", "no store, no folder");
    incident_dir(dir, "20260101T000000-pas1-0", store, &self);
    ok(stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700,
       "a folder for us only: %s", dir);
    snprintf(path, sizeof path, "%s/evidence.txt", dir);
    fclose(fopen(path, "w"));
    for (int i = 1; i < INCIDENTS_KEPT + 5; i++) {
        snprintf(id, sizeof id, "20260101T0000%02d-pas1-%d", i, i);
        incident_dir(dir, id, store, &self);
    }
    snprintf(path, sizeof path, "%s/state/incidents", store);
    is_int(count(path), INCIDENTS_KEPT, "the newest are kept");
    snprintf(path, sizeof path, "%s/state/incidents/20260101T000000-pas1-0", store);
    ok(access(path, F_OK) != 0, "the oldest has gone with what was in it");
    ok(access(dir, F_OK) == 0, "the last one is there");
    snprintf(path, sizeof path, "%s/state/incidents/mine", store);
    mkdir(path, 0700);
    incident_dir(dir, "20260102T000000-pas1-99", store, &self);
    ok(access(path, F_OK) == 0, "what is not an incident is left alone");
}

static void test_trouble(void)
{
    char dir[HERITAGE_DIR], path[128];

    snprintf(path, sizeof path, "rm -rf %s/state/incidents", store);
    is_int(system(path), 0, "(gone)");
    snprintf(path, sizeof path, "%s/state/incidents", store);
    is_int(symlink("/tmp", path), 0, "(a link in its place)");
    incident_dir(dir, "20260101T000000-pas1-0", store, &self);
    is_str(dir, "", "is not followed");
}

int main(void)
{
    char clean[64];

    if (!mkdtemp(root))
        return 1;
    snprintf(store, sizeof store, "%s/store", root);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "unit");
    test_ids();
    test_folders();
    test_trouble();
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    return done() | (system(clean) != 0);
}
