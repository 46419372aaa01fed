"""Makes a container: azure_container.py ENDPOINT ACCOUNT KEY NAME."""

import sys

from azure.storage.blob import BlobServiceClient

endpoint, account, key, name = sys.argv[1:]
BlobServiceClient(endpoint, credential={"account_name": account, "account_key": key}).create_container(name)
