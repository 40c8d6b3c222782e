/* Loads the module with the functions of MPI, if a launcher has started several ranks. */
#ifndef LOSSCTL_RANKS_MODULE_LOAD_H
#define LOSSCTL_RANKS_MODULE_LOAD_H

#include "cli/fail.h"
#include "mpi/mpi_module.h"
#include "ranks/launcher.h"

/* Loads the module for the MPI of a launcher, from the folder of this program or from ../lib/lossd
   relative to it. Sets *module, which stays loaded. If the module is missing or cannot be loaded,
   returns EXIT_USAGE, and one rank on each machine prints the reason. */
enum exit_code module_load(const struct launcher *launcher, const struct mpi_module **module);
/* Reports that the launcher has started ranks that are not connected. Returns EXIT_USAGE. */
enum exit_code module_fail_apart(const struct launcher *launcher);

#endif
