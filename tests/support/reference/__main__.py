"""Write the reference: `make reference`."""

from support.reference.build import write_all

if __name__ == "__main__":
    for path in write_all():
        print(path)  # noqa: T201
