# SPDX-License-Identifier: Apache-2.0
# Run once in a fresh namespace that holds `directory`; leaves `capsule`, or `error` with the reason.
try:
    import importlib.machinery
    import importlib.util
    import sys

    spec = importlib.machinery.PathFinder.find_spec("_mod_wsgi_rs", [directory])
    if spec is None:
        raise ImportError("no _mod_wsgi_rs for Python %d.%d in the runtime directory" % sys.version_info[:2])
    module = importlib.util.module_from_spec(spec)
    sys.modules["_mod_wsgi_rs"] = module
    spec.loader.exec_module(module)
    capsule = module.embedded
except BaseException as failure:
    error = "%s: %s" % (type(failure).__name__, failure)
