#include "ranks/module_load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *package;
} implementations[] = {
    [LAUNCHER_OPENMPI] = {"openmpi", "libopenmpi-dev"},
    [LAUNCHER_MPICH] = {"mpich", "libmpich-dev"},
};

/* Writes the path of a module. Returns false if it does not exist. */
static bool find(const char *name, char path[PATH_MAX])
{
    static const char *const folders[] = {"", "../lib/lossd/"};
    char program[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return false;
    program[len] = '\0';
    strrchr(program, '/')[1] = '\0';
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const int size = snprintf(path, PATH_MAX, "%s%slossctl-%s.so", program, folders[i], name);
        if (size > 0 && size < PATH_MAX && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static enum exit_code load(const struct launcher *launcher, const struct mpi_module **module)
{
    const char *const name = implementations[launcher->mpi].name;
    char path[PATH_MAX], text[LAUNCHER_TEXT];
    if (!find(name, path))
        return fail(EXIT_USAGE,
                    "%s, but lossctl-%s.so, which connects them, is not built: install %s, "
                    "and run `make mpi`",
                    launcher_describe(launcher, text), name,
                    implementations[launcher->mpi].package);
    void *const file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!file)
        return fail(EXIT_USAGE, "%s, but the module that connects them cannot be loaded: %s",
                    launcher_describe(launcher, text), dlerror());
    const struct mpi_module *const table = dlsym(file, MPI_MODULE_SYMBOL);
    if (!table || strcmp(table->version, LOSS_VERSION) != 0)
        return fail(EXIT_USAGE, "%s is not a module of lossctl " LOSS_VERSION, path);
    *module = table;
    return EXIT_OK;
}

enum exit_code module_load(const struct launcher *launcher, const struct mpi_module **module)
{
    if (launcher->mpi == LAUNCHER_NO_MPI)
        return module_fail_apart(launcher);
    const enum exit_code code = load(launcher, module);
    if (launcher->node_rank == 0)
        fail_show();
    return code;
}

enum exit_code module_fail_apart(const struct launcher *launcher)
{
    char text[LAUNCHER_TEXT];
    return fail(EXIT_USAGE,
                "%s, but does not connect them; use `srun --mpi=pmix` with Open MPI, `srun "
                "--mpi=pmi2` with MPICH, or mpirun",
                launcher_describe(launcher, text));
}
