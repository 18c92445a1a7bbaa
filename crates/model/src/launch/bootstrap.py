def serve():
    del globals()["serve"]
    import os
    import stat
    import sys
    from importlib import machinery, util

    if sys.path[:1] == [""]:
        del sys.path[0]
    sys.argv = ["mod_wsgi"]
    try:
        name, place = "_mod_wsgi_rs", "/proc/self/fd/4"
        if stat.S_ISREG(os.fstat(4).st_mode):
            spec = util.spec_from_loader(name, machinery.ExtensionFileLoader(name, place))
        else:
            directory = place + "/"
            if not os.path.isdir(directory):
                here = os.open(".", os.O_PATH)
                os.fchdir(4)
                directory = os.getcwd() + "/"
                os.fchdir(here)
                os.close(here)
            spec = machinery.PathFinder.find_spec(name, [directory])
            sys.path_importer_cache.pop(directory, None)
        if spec is None:
            raise ImportError("no %s for Python %d.%d in the runtime directory" % (name, *sys.version_info[:2]))
        module = sys.modules[name] = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.serve(3)
    except BaseException as failure:
        os.write(3, b"\4" + ("%s: %s" % (type(failure).__name__, failure)).encode("utf-8", "replace"))
        os._exit(1)


serve()
