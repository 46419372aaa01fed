"""Makes a bucket: s3_bucket.py ENDPOINT NAME."""

import sys

import boto3

keys = {"aws_access_key_id": "AKIDOFTHETESTS", "aws_secret_access_key": "secret-of-the-tests"}
boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", **keys).create_bucket(Bucket=sys.argv[2])
